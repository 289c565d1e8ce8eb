"""Step 5, one pass of work: take from the buffer, send by the transport, judge, settle, count.

The pipeline decides when a pass runs and in which thread; nothing here waits but the wire.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import SystemRandom

from forklog.aside import Aside
from forklog.buffer import Buffer
from forklog.hand import Batch, Hand
from forklog.ledger import Ledger
from forklog.news import News, Told
from forklog.options import Options
from forklog.report import Report
from forklog.retry import Kind, Verdict, delay_after
from forklog.transports.base import Transport
from forklog.turn import TURN, Turn
from forklog.wire import Wire

__all__ = ["Flusher", "Pass"]

_RANDOM = SystemRandom().random  # the seeded generator is the same in all forked workers


class Pass(enum.Enum):
    """How one pass of work ended."""

    IDLE = "idle"
    SENT = "sent"
    LATER = "later"
    BUSY = "busy"


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
        self.news = News(options, report)
        self._random = random
        self._hand = Hand(options.max_batch_entries, options.max_batch_bytes)
        self.aside = Aside(buffer, options.max_retry_delay, random)
        # So that an overflow finds enough to choose from by severity, whatever the options are.
        self._share_bytes = options.max_buffer_bytes // 4
        self._turn = Turn()  # of whoever runs a pass
        # Its lock protects _hand, too: a reader would see an entry twice or not at all.
        self.ledger = Ledger()
        self._wire = Wire(transport, self.ledger)
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
            told = Told()
            seconds = timeout or self._options.answer_timeout
            verdict, error = self._wire.attempt(batch, seconds)
            # The flush thread lives on; others get what ends them once it is booked.
            told.error = None if timeout is None else error
            if verdict.kind is Kind.BLOCKED and not self._hand.is_suspect(batch):
                self._wire.close()  # what somebody mends may be read when it is opened again
            outcome = self._settle(batch, verdict, told)
        finally:
            if TURN in self._turn and self._turn[TURN] is token:
                del self._turn[TURN]
                if self._is_closed:
                    self.close()
        attempts = max(batch.attempts, self._hand.refusals)
        self.news.of_pass(attempts, verdict, told, self._buffer.count_aside())
        if told.error is not None:
            raise told.error
        return outcome

    def _next_batch(self) -> Batch | None:
        with self.ledger.lock:
            hand = self._hand
            if not hand.batches and (tried := self.aside.take()):
                self.ledger.take(1)
                hand.add(tried, is_aside=True)
            elif not hand.batches or hand.wants_other():
                room = max(1, self._share_bytes - hand.size())
                entries = self._buffer.take(
                    self._options.max_batch_entries, min(self._options.max_batch_bytes, room)
                )
                self.ledger.take(len(entries))
                if entries:
                    hand.add(entries)
            return hand.first() if hand.batches else None

    def _settle(self, batch: Batch, verdict: Verdict, told: Told) -> Pass:
        """Book the outcome; entries that are not settled stay in hand."""
        with self.ledger.lock:
            hand = self._hand
            if not hand.batches or hand.batches[0] is not batch:
                # Given up by another thread while the answer was under way; only a server that
                # answered shows that the wire is there for a notice of that.
                return Pass.SENT if verdict.kind is Kind.DELIVERED else Pass.IDLE
            is_named = len(verdict.again) == len(batch.entries)
            if is_named or verdict.kind in (Kind.RETRY, Kind.BLOCKED):
                return self._later(batch, verdict, told, is_named=is_named)
            if verdict.kind is Kind.HALVE:
                hand.halve()
                return Pass.SENT
            return self._book(batch, verdict, told)

    def _later(self, batch: Batch, verdict: Verdict, told: Told, *, is_named: bool = False) -> Pass:
        if batch.is_aside:
            told.is_news = False
            self.ledger.take(-len(batch.entries))
            self._hand.batches.popleft()
            self.aside.put_back(batch.entries)
            return Pass.IDLE
        if not verdict.is_of_content:
            self._hand.put_off()
        else:
            self._set_aside(self._hand.refused(is_named=is_named), told)
        is_suspect = self._hand.is_suspect(batch)
        told.is_news = not is_suspect
        self._put_off(verdict, 0 if is_suspect else batch.attempts)
        return Pass.LATER

    def _put_off(self, verdict: Verdict, attempts: int) -> None:
        most = max(attempts, self._hand.refusals)
        is_slow = verdict.kind is Kind.BLOCKED and attempts > 0
        ceiling = self._options.max_retry_delay
        self.delay = delay_after(verdict, most, ceiling, self._random, is_slow=is_slow)

    def _set_aside(self, entries: list[bytes], told: Told) -> None:
        """Give entries back to the buffer, where they wait apart and an overflow finds them."""
        if entries:
            self.ledger.take(-len(entries))
            self.aside.put(entries)
            told.aside += entries

    def _book(self, batch: Batch, verdict: Verdict, told: Told) -> Pass:
        again = [batch.entries[i] for i in sorted(verdict.again)]
        settled = len(batch.entries) - len(verdict.refused) - len(again)
        self.ledger.settle(settled, is_diverted=verdict.is_diverted)
        if batch.is_aside:
            self.aside.passed()
        if again:
            if verdict.is_of_content:
                self._set_aside(self._hand.passed_in_part(again), told)
            else:
                self._hand.keep(again)
            self._buffer.release(batch.size - sum(map(len, again)))
        else:
            self._hand.passed()
            self._buffer.release(batch.size, is_last=not self._hand.batches)
        for reason in sorted(set(verdict.refused.values())):
            victims = [batch.entries[i] for i, why in verdict.refused.items() if why == reason]
            self.ledger.drop(reason, len(victims))
            told.losses.append((reason, victims))
        if not again:
            return Pass.SENT
        self._put_off(verdict, batch.attempts)
        return Pass.LATER

    def give_up(self, reason: str) -> list[bytes]:
        """Book everything that is not settled as dropped, and return it, oldest first."""
        with self.ledger.lock:
            waiting = self._buffer.drain()
            self.ledger.take(len(waiting))
            self._buffer.release(self._hand.size(), is_last=True)
            entries = sorted(self._hand.give_up() + waiting)
            self.ledger.drop(reason, len(entries))
        return entries

    def floor(self) -> bytes:
        """Return the oldest entry that is not settled, or bytes above every entry."""
        with self.ledger.lock:
            return min(self.head(), self._buffer.oldest_aside())

    def head(self) -> bytes:
        """Return the same, without what is set aside: nobody waits for that."""
        with self.ledger.lock:
            return min([self._buffer.oldest(), *self._hand.oldest()])

    def has_hand(self) -> bool:
        """Tell whether a batch is in hand, to be sent (again) before anything new."""
        return bool(self._hand.batches)

    def is_pending(self) -> bool:
        """Tell whether anything waits, is in hand or is set aside."""
        return bool(len(self._buffer) or self.has_hand() or self._buffer.count_aside())

    def is_busy(self) -> bool:
        """Tell whether a pass, or ``on_drop``, is under way in some thread."""
        return TURN in self._turn or self.news.is_calling

    def in_hand(self) -> int:
        """Return the number of entries in hand."""
        with self.ledger.lock:
            return self._hand.count()

    def close(self) -> None:
        """Close the connection: now, or, if a pass is under way, at its end."""
        self._is_closed = True
        token = object()
        try:
            if self._turn.setdefault(TURN, token) is token:
                self._wire.close()
        finally:
            if TURN in self._turn and self._turn[TURN] is token:
                del self._turn[TURN]
