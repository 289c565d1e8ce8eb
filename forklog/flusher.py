"""Step 5, one pass of work: take from the buffer, send by the transport, judge, settle, count.

The pipeline decides when a pass runs and in which thread; nothing here waits but the wire.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import SystemRandom

from forklog.buffer import Buffer
from forklog.news import News
from forklog.options import Options
from forklog.report import Report
from forklog.retry import Kind, Verdict, backoff, judge, judge_error
from forklog.transports.base import Connection, Transport, WireError
from forklog.turn import TURN, Turn

__all__ = ["Batch", "Flusher", "Pass"]

_RANDOM = SystemRandom().random  # the seeded generator is the same in all forked workers


_Losses = list[tuple[str, list[bytes]]]


class Pass(enum.Enum):
    """How one pass of work ended."""

    IDLE = "idle"
    SENT = "sent"
    LATER = "later"
    BUSY = "busy"


@dataclass(slots=True)
class Batch:
    """Entries that travel together, unchanged, until they are settled."""

    entries: list[bytes]
    attempts: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        """Add up the wire bytes once."""
        self.size = sum(map(len, self.entries))


class Flusher:
    """Move entries from one process's buffer to the wire. One pass at a time, in any thread."""

    def __init__(
        self,
        options: Options,
        buffer: Buffer,
        transport: Transport,
        report: Report,
        random: Callable[[], float] = _RANDOM,
    ) -> None:
        """Start nothing; the connection is opened by the first pass that has something to send."""
        self._options = options
        self._buffer = buffer
        self._transport = transport
        self.news = News(options, report)
        self._random = random
        self._connection: Connection | None = None
        self._hand: deque[Batch] = deque()
        self._turn = Turn()  # of whoever runs a pass
        # Protects _hand and the counters against a reader that would see an entry twice or not at
        # all; held for memory work only.
        self.ledger = threading.RLock()
        self.taken = self.delivered = self.requests = self.retries = 0
        self.diverted: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.unreported: Counter[str] = Counter()
        self._is_closed = False
        self.delay = 0.0
        """After a pass that ended LATER: seconds until the next attempt."""

    def run_once(self, timeout: float | None = None) -> Pass:
        """Send one batch and settle it. Blocks for the wire, at most by the options' timeouts.

        Args:
            timeout: seconds to wait for the answer; the option answer_timeout if None.
        """
        token = object()
        try:
            if self._turn.setdefault(TURN, token) is not token:
                return Pass.BUSY
            batch = self._next_batch()
            if batch is None:
                return Pass.IDLE
            verdict = self._attempt(batch, timeout or self._options.answer_timeout)
            if verdict.kind is Kind.BLOCKED:
                self._disconnect()  # what somebody mends may be read when it is opened again
            losses: _Losses = []
            outcome = self._settle(batch, verdict, losses)
        finally:
            if TURN in self._turn and self._turn[TURN] is token:
                del self._turn[TURN]
                if self._is_closed:
                    self.close()
        for reason, victims in losses:
            self.news.of_drop(reason, len(victims), victims, verdict.reason)
        self.news.of_attempt(batch.attempts, verdict)
        return outcome

    def _next_batch(self) -> Batch | None:
        with self.ledger:
            if not self._hand:
                entries = self._buffer.take(
                    self._options.max_batch_entries, self._options.max_batch_bytes
                )
                if not entries:
                    return None
                self.taken += len(entries)
                self._hand.append(Batch(entries))
            return self._hand[0]

    def _attempt(self, batch: Batch, timeout: float) -> Verdict:
        batch.attempts += 1
        self.requests += 1
        self.retries += batch.attempts > 1
        try:
            if self._connection is None:
                self._connection = self._transport.open()
            return judge(self._connection.send(batch.entries, timeout), len(batch.entries))
        except WireError as error:
            return judge_error(error, is_first_attempt=batch.attempts == 1)
        except Exception as error:  # noqa: BLE001 - a foreign transport's bug must not end the thread
            return Verdict(Kind.RETRY, f"{type(error).__name__} in the transport")

    def _settle(self, batch: Batch, verdict: Verdict, losses: _Losses) -> Pass:
        """Book the outcome; entries that are not settled stay in hand."""
        with self.ledger:
            if not self._hand or self._hand[0] is not batch:
                # Given up by another thread while the answer was under way; only a server that
                # answered shows that the wire is there for a notice of that.
                return Pass.SENT if verdict.kind is Kind.DELIVERED else Pass.IDLE
            if verdict.kind in (Kind.RETRY, Kind.BLOCKED):
                return self._later(batch, verdict)
            self._hand.popleft()
            if verdict.kind is Kind.HALVE:
                middle = len(batch.entries) // 2
                halves = Batch(batch.entries[:middle]), Batch(batch.entries[middle:])
                self._hand.extendleft(reversed(halves))
                return Pass.SENT
            return self._book(batch, verdict, losses)

    def _later(self, batch: Batch, verdict: Verdict) -> Pass:
        ceiling = self._options.max_retry_delay
        if verdict.kind is Kind.BLOCKED:
            self.delay = ceiling * (0.5 + 0.5 * self._random())
        elif verdict.delay is not None:
            self.delay = verdict.delay
        else:
            self.delay = backoff(batch.attempts, ceiling, self._random)
        return Pass.LATER

    def _book(self, batch: Batch, verdict: Verdict, losses: _Losses) -> Pass:
        again = [batch.entries[i] for i in sorted(verdict.again)]
        settled = len(batch.entries) - len(verdict.refused) - len(again)
        if verdict.is_diverted:
            self.diverted["stderr"] += settled
        else:
            self.delivered += settled
        if again:
            rest = Batch(again, batch.attempts)
            self._hand.appendleft(rest)
            self._buffer.release(batch.size - rest.size)
        else:
            self._buffer.release(batch.size, is_last=not self._hand)
        for reason in sorted(set(verdict.refused.values())):
            victims = [batch.entries[i] for i, why in verdict.refused.items() if why == reason]
            self.book_drop(reason, len(victims))
            losses.append((reason, victims))
        if not again:
            return Pass.SENT
        return self._later(rest, Verdict(Kind.RETRY, verdict.reason, delay=verdict.delay))

    def book_drop(self, reason: str, number: int, *, is_new: bool = False) -> None:
        """Count dropped entries; new ones are counted as taken, too, since no buffer held them."""
        if number:
            with self.ledger:
                self.taken += number if is_new else 0
                self.dropped[reason] += number
                self.unreported[reason] += number

    def take_unreported(self) -> Counter[str]:
        """Return, once, the drops that the log itself has not been told of."""
        with self.ledger:
            lost, self.unreported = self.unreported, Counter()
        return lost

    def give_up(self, reason: str) -> list[bytes]:
        """Book everything that is not settled as dropped, and return it, oldest first."""
        with self.ledger:
            waiting = self._buffer.drain()
            self.taken += len(waiting)
            entries = [entry for batch in self._hand for entry in batch.entries]
            self._buffer.release(sum(batch.size for batch in self._hand), is_last=True)
            self._hand.clear()
            entries += waiting
            self.book_drop(reason, len(entries))
        return entries

    def floor(self) -> bytes:
        """Return the oldest entry that is not settled, or bytes above every entry."""
        with self.ledger:
            heads = [min(batch.entries) for batch in self._hand if batch.entries]
            return min([self._buffer.oldest(), *heads])

    def has_hand(self) -> bool:
        """Tell whether a batch is in hand, to be sent (again) before anything new."""
        return bool(self._hand)

    def is_busy(self) -> bool:
        """Tell whether a pass, or ``on_drop``, is under way in some thread."""
        return TURN in self._turn or self.news.is_calling

    def in_hand(self) -> int:
        """Return the number of entries in hand."""
        with self.ledger:
            return sum(len(batch.entries) for batch in self._hand)

    def close(self) -> None:
        """Close the connection: now, or, if a pass is under way, at its end."""
        self._is_closed = True
        token = object()
        try:
            if self._turn.setdefault(TURN, token) is token:
                self._disconnect()
        finally:
            if TURN in self._turn and self._turn[TURN] is token:
                del self._turn[TURN]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
