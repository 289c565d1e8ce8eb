"""Judges what one server with one handler did in the demo, and whether it is perfect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forklog.demo.load import Answers
    from forklog.demo.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        mode: how uWSGI ran.
        handler: the logging handler of the application.
        answers: what the load brought back.
        hung: workers that never answered.
        tally: the ledger against the emulator.
        has_ended: whether the server ended by its own stop signal, without SIGKILL.
        killed: workers killed while they logged. Each may leave one request unanswered, and one
            record that it logged and did not write down.
        wanted: how many workers were to be killed.
        resent: entries that were stored again with their insertId, so that readers see them once.
            They are no fault where workers were killed; elsewhere the tally has them as duplicated.

    """

    mode: str
    handler: str
    answers: Answers
    hung: int
    tally: Tally
    has_ended: bool
    killed: int = 0
    wanted: int = 0
    resent: int = 0

    def faults(self) -> list[str]:
        """Return what is wrong with it, in words; nothing if it is perfect."""
        tally, answers = self.tally, self.answers
        found = {
            "no request was sent": not answers.requests,
            f"{counted(answers.requests - answers.answered, 'request')} unanswered": (
                answers.answered + self.killed < answers.requests
            ),
            f"{counted(self.hung, 'worker')} hung": self.hung,
            f"{self.killed} of {counted(self.wanted, 'worker')} were killed": (
                self.killed < self.wanted
            ),
            "no record was logged": not tally.logged,
            f"{tally.lost} of {tally.logged} records lost": tally.lost,
            f"{counted(tally.duplicated, 'record')} duplicated": tally.duplicated,
            f"{counted(tally.strays, 'entry', 'entries')} that the app did not log": (
                tally.strays > self.killed
            ),
            "no record was logged at the import": not tally.boot_logged,
            "the server did not end at its stop signal and was killed": not self.has_ended,
        }
        return [words for words, is_so in found.items() if is_so]


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun: ``1 worker``, ``2 workers``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
