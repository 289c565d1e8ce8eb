"""The way of a recovery to the server: connections, retries for a bounded time, and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from forklog.options import Options
from forklog.terminal.screen import Progress, screen_on
from forklog.transports.base import (
    OTHER_PROJECT,
    Connection,
    Envelope,
    EnvelopeConnection,
    Kind,
    Verdict,
    WireError,
    verdict_of,
)
from forklog.transports.google.access import known_project
from forklog.transports.http import HttpTransport

_TRIES = 4
_FIRST_WAIT = 0.5
_MOST_IN_VAIN = 3  # entries that are refused alone, with none delivered since


class Sending:
    """Send batches; the connection of a project is opened with its first."""

    def __init__(self, options: Options, *, is_dry_run: bool) -> None:
        """Open nothing."""
        self.is_dry_run = is_dry_run
        self._options = options
        self._connections: dict[str | None, Connection] = {}
        self._progress: Progress | None = None
        self._sent = self._in_vain = 0

    @property
    def max_entries(self) -> int:
        """Return the bound of a request."""
        return self._options.max_batch_entries

    @property
    def max_bytes(self) -> int:
        """Return the bound of a request."""
        return self._options.max_batch_bytes

    def send(self, entries: Sequence[bytes], envelope: Envelope) -> Verdict:
        """Send a batch, again after a passing failure; the last verdict if none passes.

        Raises:
            WireError: no way to the server can be opened.
        """
        wait = _FIRST_WAIT
        for attempt in range(_TRIES):
            verdict = self._attempt(entries, envelope, is_first=not attempt)
            if verdict.kind is not Kind.RETRY or attempt == _TRIES - 1:
                break
            time.sleep(max(verdict.delay or 0.0, wait))
            wait *= 2
        if verdict.kind is Kind.DELIVERED:
            self._sent += len(entries)
            self._in_vain = 0
            self._show()
        return verdict

    def is_worth_splitting(self, verdict: Verdict, number: int) -> bool:
        """Tell whether one of the ``number`` entries of a refused batch may be all that is refused.

        It is not where a server refuses everything, which some entries tried alone show.
        """
        if verdict.kind not in (Kind.RETRY, Kind.BLOCKED) or not verdict.is_of_content:
            return False
        self._in_vain += number == 1
        return self._in_vain <= _MOST_IN_VAIN

    def _attempt(self, entries: Sequence[bytes], envelope: Envelope, *, is_first: bool) -> Verdict:
        project = known_project(self._options) or envelope.project
        if project not in self._connections:
            options = replace(self._options, project=project)
            self._connections[project] = HttpTransport(options, lambda _project: None).open()
        connection = self._connections[project]
        origin = getattr(connection, "origin", None)
        if origin and envelope.project not in {None, origin.project}:
            remedy = f"give --project {envelope.project}"
            return Verdict(Kind.BLOCKED, f"{OTHER_PROJECT}; {remedy}", is_of_content=False)
        if not isinstance(connection, EnvelopeConnection):
            raise WireError("this way to the server cannot send another process's entries")
        try:
            return connection.send_with(entries, self._options.answer_timeout, envelope)
        except WireError as error:
            return verdict_of(error, is_first_attempt=is_first)

    def _show(self) -> None:
        """Say how many were sent so far, where stderr is a terminal."""
        if self._progress is None and sys.stderr.isatty():
            self._progress = screen_on(sys.stderr).progress().__enter__()
        if self._progress is not None:
            self._progress.update(f"{self._sent} log entries sent")

    def close(self) -> None:
        """Close the connections and end the line of progress."""
        for connection in self._connections.values():
            connection.close()
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
