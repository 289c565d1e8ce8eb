"""One attempt of the sender: connects if needed, sends a batch, returns the verdict."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forklog.clock import monotonic
from forklog.delivery.sending.sound import UnsoundError, sound_connection, sound_verdict
from forklog.process.base import usual_mask
from forklog.transports.base import (
    LEAST_SECONDS,
    OTHER_PROJECT,
    Connection,
    Envelope,
    EnvelopeConnection,
    Kind,
    Origin,
    TimedTransport,
    Transport,
    Verdict,
    WireError,
    verdict_of,
)

if TYPE_CHECKING:
    from forklog.delivery.sending.batch import Batch


def _left(until: float, timeout: float) -> float:
    return min(timeout, max(LEAST_SECONDS, until - monotonic()))


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class Wire:
    """The connection of one sender, used by one thread at a time."""

    def __init__(self, transport: Transport, count: Callable[..., object]) -> None:
        """Open nothing; ``count`` is `Ledger.count_request`."""
        self.connection: Connection | None = None
        self._count = count
        self.transport = transport
        # What is not ours may start children, which inherit the mask of signals.
        is_ours = type(transport).__module__.partition(".")[0] == "forklog"
        self._call = _call if is_ours else usual_mask[0](_call)

    def attempt(
        self, batch: Batch, timeout: float, most: float | None = None
    ) -> tuple[Verdict, BaseException | None]:
        """Send a batch. Return the verdict, and what was raised, if it is no Exception.

        Args:
            batch: what to send.
            timeout: seconds to wait for the answer.
            most: seconds for that and for the opening of a connection, where a caller waits.
        """
        batch.count_attempt()
        is_retry = batch.attempts > 1 or batch.since is not None or batch.is_aside
        self._count(is_retry=is_retry)
        entries, is_first = batch.entries, batch.attempts == 1
        until = math.inf if most is None else monotonic() + most
        return self._judged(
            lambda wire: wire.send(entries, _left(until, timeout)),
            len(entries),
            until,
            is_first=is_first,
        )

    def attempt_other(
        self, entries: Sequence[bytes], envelope: Envelope, timeout: float
    ) -> tuple[Verdict, BaseException | None]:
        """Send what another process left. Return as `attempt` does; close what is blocked."""
        asked, until = [], monotonic() + timeout

        def send(connection: Connection) -> Verdict:
            origin = self.origin()
            if origin and envelope.project not in {None, origin.project}:
                return Verdict(Kind.BLOCKED, OTHER_PROJECT)
            if isinstance(connection, EnvelopeConnection):
                self._count()
                asked.append(connection)
                return connection.send_with(entries, _left(until, timeout), envelope)
            text = "this transport sends no entries of other processes; give it send_with"
            return Verdict(Kind.BLOCKED, text)

        verdict, error = self._judged(send, len(entries), until, is_first=False)
        if asked and verdict.kind is Kind.BLOCKED:
            self.close()  # what a person repairs may be read at the next open
        return verdict, error

    def _judged(
        self, send: Callable[[Connection], Verdict], count: int, until: float, *, is_first: bool
    ) -> tuple[Verdict, BaseException | None]:
        """Send ``count`` entries; whatever the transport raises or returns becomes a verdict."""
        is_open = False
        try:
            try:
                if self.connection is None:
                    self.connection = sound_connection(self._open(until))
                is_open = True
                verdict = sound_verdict(self._call(send, self.connection), count)
            except WireError as error:
                verdict = verdict_of(error, is_first_attempt=is_first)
                return (verdict if is_open else replace(verdict, is_of_content=False)), None
        except UnsoundError as error:
            return self._mistake(str(error), is_open=is_open), None
        except BaseException as error:  # noqa: BLE001 - a foreign transport's bug ends no thread
            verdict = self._mistake(type(error).__name__, is_open=is_open)
            return verdict, None if isinstance(error, Exception) else error
        self._count(verdict.repeats, is_retry=True)
        return verdict, None

    def _open(self, until: float) -> object:
        """Open a connection; within the time that is left, where the transport can bound that."""
        if until < math.inf and isinstance(self.transport, TimedTransport):
            return self._call(self.transport.open_within, max(0.0, until - monotonic()))
        return self._call(self.transport.open)

    def _mistake(self, what: str, *, is_open: bool) -> Verdict:
        where = f"in the transport {type(self.transport).__name__}"
        text = f"{what} {where}; this is a bug of it, report it to its author"
        return Verdict(Kind.RETRY, text, is_of_content=is_open)

    def origin(self) -> Origin | None:
        """Return what the connection has found out about this process, None without one."""
        try:
            origin = getattr(self.connection, "origin", None)
        except Exception:  # noqa: BLE001 - a foreign transport's bug; nothing depends on it
            return None
        return origin if isinstance(origin, Origin) else None

    def close(self) -> None:
        """Close the connection; the next attempt opens another one.

        Raises:
            BaseException: in the main thread, where it may be a signal handler's.
        """
        connection, self.connection = self.connection, None
        try:
            if connection is not None:
                self._call(connection.close)
        except Exception:  # noqa: BLE001, S110 - a foreign transport's bug; nothing is lost by it
            pass
        except BaseException:
            if threading.get_ident() == threading.main_thread().ident:
                raise
