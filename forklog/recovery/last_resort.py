"""Recovers a file of JSON lines that a last resort has written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import orjson

from forklog.errors import ForklogError, OptionError
from forklog.options import Options
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.spool.adopter import settled_by
from forklog.spool.folder import CLOEXEC, NOFOLLOW, NONBLOCK
from forklog.transports.base import Envelope, Kind
from forklog.transports.google.access import known_project

_FLAGS = os.O_RDONLY | CLOEXEC | NONBLOCK | NOFOLLOW
_OPENING = b'{"insertId"'  # of each line that a last resort writes; it tells a cut one from others


class NoLastResortError(ForklogError):
    """A file holds lines, and none of them is a log entry."""


def _is_cut(line: bytes) -> bool:
    """Tell whether it is the beginning of an entry; the next process ends such a line."""
    return line.startswith(_OPENING) or (bool(line) and _OPENING.startswith(line))


class LastResortFile:
    """A file of lines; it is never changed: what was sent twice is shown once.

    Args:
        path: of the file.
        options: project and log name of lines that carry none.
        is_named: whether the log name was given for such lines.
    """

    def __init__(self, path: str, options: Options, *, is_named: bool) -> None:
        """Read nothing yet."""
        self._path, self._options, self._is_named = path, options, is_named

    def recover(self, sending: Sending) -> Outcome:
        """Send all lines that are entries.

        Raises:
            OptionError: a line names no log, and ``--log`` was not given.
            OSError: the file cannot be read.
            NoLastResortError: it has lines, and none is an entry; nothing was sent.
        """
        outcome = Outcome(self._path, is_dry_run=sending.is_dry_run)
        batch: list[bytes] = []
        size, known = 0, None
        for entry, envelope in self._lines(outcome):
            is_full = size + len(entry) > sending.max_bytes or len(batch) >= sending.max_entries
            if batch and (is_full or envelope != known):
                self._send(batch, known, sending, outcome)
                batch, size = [], 0
            batch.append(entry)
            size, known = size + len(entry), envelope
        if batch:
            self._send(batch, known, sending, outcome)
        elif outcome.others and not outcome.torn:
            reason = f"none of its lines ({outcome.others}) is a log entry"
            raise NoLastResortError(f"{self._path} is no file of a last resort: {reason}")
        return outcome

    def _lines(self, outcome: Outcome) -> Iterator[tuple[bytes, Envelope]]:
        with open(os.open(self._path, _FLAGS), "rb") as lines:  # noqa: PTH123 - a descriptor
            for line in lines:
                try:
                    entry = orjson.loads(line)
                except ValueError:
                    entry = None
                if isinstance(entry, dict) and "insertId" in entry:
                    yield self._split(entry)
                elif entry is None and _is_cut(line):
                    outcome.torn += 1
                elif line.strip():
                    outcome.others += 1

    def _split(self, entry: dict[str, Any]) -> tuple[bytes, Envelope]:
        """Take apart what is of the entry and what is of its request."""
        place, _, name = str(entry.pop("logName", "")).rpartition("/logs/")
        project = place.removeprefix("projects/") or None
        if not name and not self._is_named:
            raise OptionError(
                "log", None, "must be given for a file whose lines name no log", "give --log NAME"
            )
        if not project and known_project(self._options) is None:
            raise OptionError(
                "project",
                None,
                "must be given for a file whose lines name no project",
                "give --project ID",
            )
        resource = entry.pop("resource", self._options.resource)
        envelope = Envelope(unquote(name) or self._options.log_name, {}, resource, project)
        return orjson.dumps(entry), envelope

    def _send(
        self, batch: list[bytes], envelope: Envelope | None, sending: Sending, outcome: Outcome
    ) -> None:
        if sending.is_dry_run or envelope is None:
            outcome.left += len(batch)
            return
        verdict = sending.send(batch, envelope)
        is_split = verdict.kind is Kind.HALVE or sending.is_worth_splitting(verdict, len(batch))
        if is_split and len(batch) > 1:
            middle = len(batch) // 2
            self._send(batch[:middle], envelope, sending, outcome)
            self._send(batch[middle:], envelope, sending, outcome)
            return
        settled, refused = settled_by(verdict, len(batch))
        outcome.sent += settled - refused
        outcome.refused += refused
        outcome.left += len(batch) - settled
        if settled < len(batch):
            note = f"{self._path}: {verdict.reason or 'the server took not all of it'}"
            if note not in outcome.notes:
                outcome.notes.append(note)
