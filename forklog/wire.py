"""Step 7, one attempt: opens the connection where there is none, sends a batch, has it judged."""

from __future__ import annotations

from dataclasses import replace

from forklog.hand import Batch
from forklog.ledger import Ledger
from forklog.retry import Kind, Verdict, judge, judge_error
from forklog.transports.base import Connection, Transport, WireError

__all__ = ["Wire"]


class Wire:
    """The connection of one flusher, used by one thread at a time."""

    def __init__(self, transport: Transport, ledger: Ledger) -> None:
        """Open nothing."""
        self.connection: Connection | None = None
        self._ledger = ledger
        self.transport = transport

    def attempt(self, batch: Batch, timeout: float) -> tuple[Verdict, BaseException | None]:
        """Send a batch. Return the verdict, and an error that is not a program's but a thread's."""
        batch.attempts += 1
        is_retry = batch.attempts > 1 or batch.since is not None or batch.is_aside
        self._ledger.count_request(is_retry=is_retry)
        is_open = False
        try:
            if self.connection is None:
                self.connection = self.transport.open()
            is_open = True
            answer = self.connection.send(batch.entries, timeout)
        except WireError as error:
            verdict = judge_error(error, is_first_attempt=batch.attempts == 1)
            return (verdict if is_open else replace(verdict, is_of_content=False)), None
        except BaseException as error:  # noqa: BLE001 - a foreign transport's bug ends no thread
            verdict = Verdict(Kind.RETRY, f"{type(error).__name__} in the transport")
            return verdict, None if isinstance(error, Exception) else error
        self._ledger.count_request(answer.repeats, is_retry=True)
        return judge(answer, len(batch.entries)), None

    def close(self) -> None:
        """Close the connection; the next attempt opens another one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
