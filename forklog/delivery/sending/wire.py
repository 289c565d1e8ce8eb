"""One attempt: opens the connection where there is none and sends a batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from forklog.transports.base import (
    OTHER_PROJECT,
    Connection,
    Envelope,
    EnvelopeConnection,
    Kind,
    Origin,
    Transport,
    Verdict,
    WireError,
    verdict_of,
)

if TYPE_CHECKING:
    from forklog.delivery.sending.batch import Batch


class Wire:
    """The connection of one sender, used by one thread at a time."""

    def __init__(self, transport: Transport, count: Callable[..., object]) -> None:
        """Open nothing; ``count`` is `Ledger.count_request`."""
        self.connection: Connection | None = None
        self._count = count
        self.transport = transport

    def attempt(self, batch: Batch, timeout: float) -> tuple[Verdict, BaseException | None]:
        """Send a batch. Return the verdict, and an error that is not a program's but a thread's."""
        batch.count_attempt()
        is_retry = batch.attempts > 1 or batch.since is not None or batch.is_aside
        self._count(is_retry=is_retry)
        is_open = False
        try:
            if self.connection is None:
                self.connection = self.transport.open()
            is_open = True
            verdict = self.connection.send(batch.entries, timeout)
        except WireError as error:
            verdict = verdict_of(error, is_first_attempt=batch.attempts == 1)
            return (verdict if is_open else replace(verdict, is_of_content=False)), None
        except BaseException as error:  # noqa: BLE001 - a foreign transport's bug ends no thread
            verdict = Verdict(Kind.RETRY, f"{type(error).__name__} in the transport")
            return verdict, None if isinstance(error, Exception) else error
        self._count(verdict.repeats, is_retry=True)
        return verdict, None

    def attempt_other(
        self, entries: Sequence[bytes], envelope: Envelope, timeout: float
    ) -> Verdict:
        """Send what another process left."""
        try:
            if self.connection is None:
                self.connection = self.transport.open()
            origin = self.origin()
            if origin and envelope.project not in {None, origin.project}:
                return Verdict(Kind.BLOCKED, OTHER_PROJECT)
            if isinstance(self.connection, EnvelopeConnection):
                self._count()
                return self.connection.send_with(entries, timeout, envelope)
            return Verdict(Kind.BLOCKED, "this transport sends no entries of other processes")
        except WireError as error:
            return verdict_of(error, is_first_attempt=False)
        except Exception as error:  # noqa: BLE001 - a foreign transport's bug ends no thread
            return Verdict(Kind.RETRY, f"{type(error).__name__} in the transport")

    def origin(self) -> Origin | None:
        """Return what the connection has found out about this process, None without one."""
        return getattr(self.connection, "origin", None)

    def close(self) -> None:
        """Close the connection; the next attempt opens another one.

        Raises:
            BaseException: in the main thread, where it may be a signal handler's.
        """
        connection, self.connection = self.connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:  # noqa: BLE001, S110 - a foreign transport's bug; nothing is lost by it
            pass
        except BaseException:
            if threading.get_ident() == threading.main_thread().ident:
                raise
