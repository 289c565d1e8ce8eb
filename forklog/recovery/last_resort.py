"""Reads a file of JSON lines that a last resort has written; sends its entries, for `command`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import orjson

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, NONBLOCK
from forklog.errors import ForklogError, OptionError
from forklog.option_checks import check_log_name, check_project, check_resource
from forklog.options import Options
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.spool.left.settling import settled_by
from forklog.transports.base import Envelope, Kind
from forklog.transports.google.access import known_project

_FLAGS = os.O_RDONLY | CLOEXEC | NONBLOCK | NOFOLLOW
_MAX_LINE_BYTES = 1024 * 1024  # four times what an entry may have; a sparse file has no line's end
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
        self._missing: OptionError | None = None

    def recover(self, sending: Sending, outcome: Outcome) -> None:
        """Send all lines that are entries.

        Raises:
            OptionError: no line can be sent, as none names a log, or a project, and no option does.
            OSError: the file cannot be read.
            NoLastResortError: it has lines, and none is an entry; nothing was sent.
        """
        batch: list[bytes] = []
        size, known, is_any = 0, None, False
        for entry, envelope in self._lines(outcome):
            is_full = size + len(entry) > sending.max_bytes or len(batch) >= sending.max_entries
            if batch and (is_full or envelope != known):
                self._send(batch, known, sending, outcome)
                batch, size = [], 0
            batch.append(entry)
            size, known, is_any = size + len(entry), envelope, True
        if batch:
            self._send(batch, known, sending, outcome)
        if not is_any and self._missing is not None:
            raise self._missing
        if not is_any and not outcome.unfit and outcome.others and not outcome.torn:
            reason = f"none of its lines ({outcome.others}) is a log entry"
            raise NoLastResortError(f"{self._path} is no file of a last resort: {reason}")

    def _lines(self, outcome: Outcome) -> Iterator[tuple[bytes, Envelope]]:
        with open(os.open(self._path, _FLAGS), "rb") as lines:  # noqa: PTH123 - a descriptor
            while line := lines.readline(_MAX_LINE_BYTES):
                try:
                    entry = orjson.loads(line)
                except ValueError:
                    entry = None
                if isinstance(entry, dict) and "insertId" in entry:
                    try:
                        yield self._split(entry)
                    except OptionError as error:
                        outcome.add(unfit=1)
                        outcome.note(f"{self._path}: {error}")
                elif entry is None and _is_cut(line):
                    outcome.add(torn=1)
                elif line.strip():
                    outcome.add(others=1)

    def _split(self, entry: dict[str, Any]) -> tuple[bytes, Envelope]:
        """Take apart what is of the entry and what is of its request.

        Raises:
            OptionError: it names no log or no project that there can be.
        """
        place, _, name = str(entry.pop("logName", "")).rpartition("/logs/")
        project = place.removeprefix("projects/") or None
        if not name and not self._is_named:
            raise self._is_missing("log", "give --log NAME")
        if not project and known_project(self._options) is None:
            raise self._is_missing("project", "give --project ID")
        check_project(project)
        log_name = unquote(name) or self._options.log_name
        check_log_name(log_name)
        resource = entry.pop("resource", self._options.resource)
        envelope = Envelope(
            log_name, {}, None if resource is None else check_resource(resource), project
        )
        return orjson.dumps(entry), envelope

    def _is_missing(self, what: str, remedy: str) -> OptionError:
        rule = f"must be given for a file whose lines name no {what}"
        self._missing = OptionError(what, None, rule, remedy)
        return self._missing

    def _send(
        self, batch: list[bytes], envelope: Envelope | None, sending: Sending, outcome: Outcome
    ) -> None:
        if sending.is_dry_run or envelope is None:
            outcome.add(left=len(batch))
            return
        verdict = sending.send(batch, envelope)
        is_split = verdict.kind is Kind.HALVE or sending.is_worth_splitting(verdict, len(batch))
        if is_split and len(batch) > 1:
            middle = len(batch) // 2
            self._send(batch[:middle], envelope, sending, outcome)
            self._send(batch[middle:], envelope, sending, outcome)
            return
        settled, refused = settled_by(verdict, len(batch))
        outcome.add(sent=settled - refused, refused=refused, left=len(batch) - settled)
        if settled < len(batch):
            outcome.note(f"{self._path}: {verdict.reason or 'the server took not all of it'}")
