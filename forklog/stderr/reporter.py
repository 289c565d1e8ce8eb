"""Writes forklog's own lines to stderr for every room: short, each kind once a minute at most."""

from __future__ import annotations

from collections.abc import Callable

from forklog.clock import monotonic
from forklog.drops import remedy_of
from forklog.process.base import pid
from forklog.stderr.printable import printable
from forklog.stderr.stream import write

INTERVAL = 60.0
_MAX_CHARS = 2000  # of one line
_PATIENCE_SECONDS = 0.05  # for the reader of a full pipe: another process may be writing much


def _to_stderr(line: str) -> None:
    write(line, _PATIENCE_SECONDS)


class StderrReporter:
    """Say things on stderr, rate-limited by key. Never raises; never goes through `logging`."""

    def __init__(
        self,
        write: Callable[[str], object] = _to_stderr,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Take the place to write to and the clock as parameters, for tests."""
        self._write = write
        self._now = now
        self._said: dict[str, float] = {}
        self._withheld: dict[str, int] = {}

    def say(self, key: str, text: str) -> bool:
        """Write one line unless one with this key was written within the last minute."""
        now = self._now()
        last = self._said.get(key)
        if last is not None and now - last < INTERVAL:
            return False
        self._said[key] = now
        self._write(f"forklog[{pid()}]: {printable(text, _MAX_CHARS)}\n")
        return True

    def drop(self, reason: str, entries: int, why: str = "") -> None:
        """Say that entries were dropped: a line a minute and reason, with the sum since then."""
        total = self._withheld.pop(reason, 0) + entries
        if not total:
            return
        because = f"{reason}: {why}" if why else reason
        text = f"dropped {total} log entries ({because}); {remedy_of(reason)}"
        if not self.say(f"drop:{reason}", text):
            self._withheld[reason] = total

    def catch_up(self) -> None:
        """Say what the rate limit has withheld, as far as its minute is over."""
        for reason in list(self._withheld):
            self.drop(reason, 0)

    def finish(self) -> None:
        """Say what is still withheld; for the end of the process."""
        for reason in list(self._withheld):  # a copy: the flush thread may add one meanwhile
            if total := self._withheld.pop(reason, 0):
                text = f"dropped {total} more log entries ({reason}); {remedy_of(reason)}"
                self._write(f"forklog[{pid()}]: {printable(text, _MAX_CHARS)}\n")
