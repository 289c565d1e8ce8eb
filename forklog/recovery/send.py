"""Sends for `forklog recover`: connects, retries for a bounded time, reports progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from forklog.clock import monotonic
from forklog.errors import OptionError
from forklog.options import Options
from forklog.terminal.plain import Progress
from forklog.terminal.screen import screen_on
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
_PATIENCE_SECONDS = 30.0  # in which no batch was delivered; a request that has begun ends by itself


class Sending:
    """Send batches; the connection of a project is opened with its first.

    The first batch that fails is tried again for some seconds. Those after it are tried once, until
    one is delivered: a server that is gone would take as long for each.

    Args:
        options: endpoint, credentials, and the project if they name one.
        is_dry_run: whether the caller sends nothing.
        clock: seconds that only grow.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        options: Options,
        *,
        is_dry_run: bool,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Open nothing."""
        self.is_dry_run = is_dry_run
        self._options, self._clock, self._sleep = options, clock, sleep
        self._connections: dict[str | None, Connection] = {}
        self._progress: Progress | None = None
        self._sent = self._in_vain = 0
        self._failing_since: float | None = None
        self._last = Verdict(Kind.DELIVERED)

    @property
    def max_entries(self) -> int:
        """Return the bound of a request."""
        return self._options.max_batch_entries

    @property
    def max_bytes(self) -> int:
        """Return the bound of a request."""
        return self._options.max_batch_bytes

    @property
    def is_hopeless(self) -> bool:
        """Tell whether nothing was delivered for so long that no further request is made."""
        return self._in_vain > _MOST_IN_VAIN or self._is_late()

    def send(self, entries: Sequence[bytes], envelope: Envelope) -> Verdict:
        """Send a batch, again after a passing failure; the last verdict if none passes.

        Where it is hopeless the batch is not sent, and the verdict settles none of it.
        """
        if self.is_hopeless:
            return _unsent(self._last.reason or "the server took not all of what was sent before")
        tries, wait = (1 if self._failing_since is not None else _TRIES), _FIRST_WAIT
        for number in range(tries):
            began = self._clock()
            verdict, was_asked = self._attempt(entries, envelope, is_first=not number)
            if not was_asked:
                return verdict
            self._last = verdict
            if verdict.kind is Kind.DELIVERED and not verdict.again:
                self._failing_since, self._in_vain = None, 0
                break
            if self._failing_since is None and verdict.kind is not Kind.HALVE:
                self._failing_since = began
            pause = max(verdict.delay or 0.0, wait)
            is_passing = verdict.kind is Kind.RETRY or bool(verdict.again)
            if number == tries - 1 or not is_passing or self._is_late(pause):
                break
            self._sleep(pause)
            wait *= 2
        if verdict.kind is Kind.DELIVERED:
            self._sent += len(entries) - len(verdict.again)
            self._show()
        return verdict

    def _is_late(self, pause: float = 0.0) -> bool:
        since = self._failing_since
        return since is not None and self._clock() + pause >= since + _PATIENCE_SECONDS

    def is_worth_splitting(self, verdict: Verdict, number: int) -> bool:
        """Tell whether one of the ``number`` entries of a refused batch may be all that is refused.

        It is not where a server refuses everything, which some entries tried alone show.
        """
        if verdict.kind not in (Kind.RETRY, Kind.BLOCKED) or not verdict.is_of_content:
            return False
        self._in_vain += number == 1
        return not self.is_hopeless

    def _attempt(
        self, entries: Sequence[bytes], envelope: Envelope, *, is_first: bool
    ) -> tuple[Verdict, bool]:
        """Return a verdict, and whether it is the server's, or of the way there."""
        try:
            connection = self._connection(known_project(self._options) or envelope.project)
            origin = getattr(connection, "origin", None)
            if origin and envelope.project not in {None, origin.project}:
                remedy = f"give --project {envelope.project}"
                return _unsent(f"{OTHER_PROJECT}; {remedy}"), False
            if not isinstance(connection, EnvelopeConnection):
                return _unsent("this way to the server cannot send another process's entries"), True
            timeout = self._options.answer_timeout
            return connection.send_with(entries, timeout, envelope), True
        except OptionError as error:  # another process's project, or one of the environment
            return _unsent(str(error)), False
        except WireError as error:
            return verdict_of(error, is_first_attempt=is_first), True

    def _connection(self, project: str | None) -> Connection:
        if project not in self._connections:
            options = replace(self._options, project=project)
            self._connections[project] = HttpTransport(options, lambda _project: None).open()
        return self._connections[project]

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


def _unsent(reason: str) -> Verdict:
    return Verdict(Kind.BLOCKED, reason, is_of_content=False)
