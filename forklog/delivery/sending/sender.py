"""One pass of work: take from the buffer, send by the transport, judge, settle, count.

The worker decides when a pass runs and in which thread; nothing here waits but the wire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import SystemRandom

from forklog.delivery.base import Reporter, Sink, Store
from forklog.delivery.ledger import Booking, Ledger, booking_of
from forklog.delivery.losses import Losses, PassReport
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.aside import Aside
from forklog.delivery.sending.batch import Batch
from forklog.delivery.sending.choosing import Choosing
from forklog.delivery.sending.in_flight import InFlight
from forklog.delivery.sending.pacing import Pacing
from forklog.delivery.sending.pending import Pending
from forklog.delivery.sending.wire import Wire
from forklog.delivery.sinks.on_drop import OnDrop
from forklog.options import Options
from forklog.process.base import home
from forklog.transports.base import Envelope, Kind, Transport, Verdict
from forklog.turn import TURN, Turn

_RANDOM = SystemRandom().random  # the seeded generator is the same in all forked workers


class Sender(Pending):
    """Move entries from one process's buffer to the wire. One pass at a time, in any thread."""

    def __init__(  # noqa: PLR0913 - what a pipeline gives
        self,
        options: Options,
        buffer: Store,
        transport: Transport,
        report: Reporter,
        random: Callable[[], float] = _RANDOM,
        *,
        last_resort: Sink | None = None,
    ) -> None:
        """Start nothing: the first pass opens the connection; ``last_resort`` may be nowhere."""
        self._options, self._buffer = options, buffer
        self.on_drop = OnDrop(options.on_drop, report)
        self.losses = Losses(report, self.on_drop, options.last_resort)
        self._last_resort = last_resort
        self.pacing = Pacing(options, random)
        self.aside = Aside(buffer, options.max_retry_delay, random)
        self._sending = Turn()  # of whoever runs a pass
        # Its lock protects _in_flight, too: a reader would see an entry twice or not at all.
        self.ledger = Ledger()
        self._in_flight = InFlight(options.max_batch_entries, options.max_batch_bytes, self.ledger)
        self._choosing = Choosing(options, buffer, self._in_flight, self.aside, self.pacing)
        self.transport, self._wire = transport, Wire(transport, self.ledger.count_request)
        self._is_closed, self.delay = False, 0.0
        """After a pass that ended LATER: seconds until the next attempt."""

    def send_once(self, timeout: float | None = None, *, is_hurried: bool = False) -> SendResult:
        """Send one batch and settle it. Blocks for the wire, at most by the options' timeouts.

        Args:
            timeout: seconds for all that the pass asks the network; None in the flush thread: the
                answer alone has a bound then, the option answer_timeout.
            is_hurried: what is set aside goes after all that waits.
        """
        taker, own = object(), home()
        try:
            if self._sending.setdefault(TURN, taker) is not taker:
                return SendResult.BUSY
            # Takes from the buffer and puts the batch first in flight.
            batch = self.ledger.lock.run(self._choosing.next_batch, is_hurried)
            if batch is None:
                return SendResult.IDLE
            seen = PassReport()
            verdict, error = self._wire.attempt(batch, self._options.answer_timeout, timeout)
            if not own[0]:
                return SendResult.FORKED
            # The flush thread lives on; others get what ends them once it is booked.
            seen.note_error(None if timeout is None else error)
            if verdict.kind is Kind.BLOCKED and not self._choosing.is_suspect(batch, verdict):
                self._wire.close()  # what a person repairs may be read at the next open
            outcome = self.ledger.lock.run(self._settle, batch, verdict, seen)
        finally:
            if TURN in self._sending and self._sending[TURN] is taker:
                del self._sending[TURN]
                if self._is_closed:
                    self.close()
        attempts = max(batch.attempts, self._in_flight.refusals)
        self.losses.of_pass(attempts, verdict, seen, self._buffer.count_aside())
        if seen.error is not None:
            raise seen.error
        return outcome

    def send_other(
        self, entries: Sequence[bytes], envelope: Envelope, timeout: float
    ) -> Verdict | None:
        """Send what another process left; None if a pass is under way. Blocks for the wire.

        Raises:
            BaseException: in the main thread, where it may be a signal handler's.
        """
        taker, own = object(), home()
        try:
            if self._sending.setdefault(TURN, taker) is not taker:
                return None
            verdict, error = self._wire.attempt_other(entries, envelope, timeout)
            if not own[0]:  # the application's transport has forked, and this is the child
                return None
            self.pacing.learn_of(verdict, sum(map(len, entries)))
            if error is not None and threading.get_ident() == threading.main_thread().ident:
                raise error  # it may be a signal handler's
        finally:
            if TURN in self._sending and self._sending[TURN] is taker:
                del self._sending[TURN]
                if self._is_closed:
                    self.close()
        self.losses.of_quota(verdict)
        return verdict

    def _settle(self, batch: Batch, verdict: Verdict, seen: PassReport) -> SendResult:
        """Book the outcome; the entries not settled stay in flight. Under the ledger's lock."""
        in_flight = self._in_flight
        self.pacing.learn(batch, verdict)
        if not in_flight.batches or in_flight.batches[0] is not batch:
            # Given up by another thread while the answer was under way. Only a server that answered
            # shows that the wire is there for a notice of that.
            return SendResult.SENT if verdict.kind is Kind.DELIVERED else SendResult.IDLE
        is_named = len(verdict.again) == len(batch.entries)
        if is_named or verdict.kind in (Kind.RETRY, Kind.BLOCKED):
            return self._later(batch, verdict, seen, is_named=is_named)
        if verdict.kind is Kind.HALVE and batch.is_aside and len(batch.entries) > 1:
            return self._later(batch, verdict, seen)  # alone, each may be refused or delivered
        if verdict.kind is Kind.HALVE and len(batch.entries) == 1:  # a foreign wire's mistake
            verdict = verdict.of_one_refused()
        if verdict.kind is Kind.HALVE:
            in_flight.halve()
            return SendResult.SENT
        return self._book(batch, verdict, seen)

    def _later(
        self, batch: Batch, verdict: Verdict, seen: PassReport, *, is_named: bool = False
    ) -> SendResult:
        if batch.is_aside:
            seen.note_suspect(is_suspect=True)
            self.aside.put_back(batch.entries)
            self._in_flight.drop_empty()
            return SendResult.IDLE
        if not verdict.is_of_content:
            self._in_flight.put_off()
        elif self._in_flight.refused(is_named=is_named):
            self._set_first_aside(seen)
        if is_suspect := self._in_flight.is_suspect(batch):  # the delay is for what it holds
            verdict = replace(verdict, delay=None if verdict.is_of_content else verdict.delay)
        seen.note_suspect(is_suspect=is_suspect)
        attempts = self._choosing.attempts_of(batch, verdict)
        self.delay = self.pacing.delay(verdict, attempts, self._in_flight.refusals)
        return SendResult.LATER

    def _set_first_aside(self, seen: PassReport) -> None:
        """Give entries back to the buffer, where they wait apart and an overflow finds them."""
        seen.note_aside()
        self.aside.put(self._in_flight.batches[0].entries)
        self._in_flight.drop_empty()

    def _book(self, batch: Batch, verdict: Verdict, seen: PassReport) -> SendResult:
        again = [batch.entries[i] for i in sorted(verdict.again)]
        settled = len(batch.entries) - len(verdict.refused) - len(again)
        for reason in sorted(set(verdict.refused.values())):
            victims = [batch.entries[i] for i, why in verdict.refused.items() if why == reason]
            seen.losses.append((reason, victims))
        dropped = {reason: len(victims) for reason, victims in seen.losses}
        booking = Booking(delivered=settled, dropped=dropped)
        if verdict.is_diverted:
            booking = Booking(diverted={"stderr": settled}, dropped=dropped)
        if settled:
            self.pacing.delivered()
        if batch.is_aside and again:
            self._keep_aside(batch, again, booking)
            return SendResult.SENT
        if batch.is_aside:
            self.aside.passed(is_delivered=settled > 0)
        elif settled:
            self.aside.go_first()
        if not again:
            size = batch.size
            # Here it counts: the ledger books the booking in one step with the batch's removal.
            self._in_flight.passed(booking, is_taken=settled > 0)
            self._buffer.settle(size, is_last=not self._in_flight.batches)
            return SendResult.SENT
        size = batch.size - sum(map(len, again))
        if not verdict.is_of_content:
            self._in_flight.keep(again, booking)
        elif self._in_flight.passed_in_part(again, booking):
            self._set_first_aside(seen)
        self._buffer.settle(size)
        self.delay = self.pacing.delay(verdict, batch.attempts, self._in_flight.refusals)
        return SendResult.LATER

    def _keep_aside(self, batch: Batch, again: list[bytes], booking: Booking) -> None:
        size = batch.size - sum(map(len, again))
        self._in_flight.keep(again, booking)
        self.aside.put_back(self._in_flight.batches[0].entries)
        self._in_flight.drop_empty()
        self._buffer.settle(size)

    def give_up(self, reason: str) -> None:
        """Write everything that is not settled to the last resort, and book it. Blocks for that.

        Meanwhile it is pending: writing may take its time.

        Raises:
            BaseException: what a signal handler raises; the entries are in flight again then.
        """
        entries: list[bytes] = []
        written: dict[str, int] = {}
        try:
            self.ledger.lock.run(self._take_all, entries)
            if entries and self._last_resort is not None:
                written.update(self._last_resort.write(entries, reason))
            booking = booking_of(len(entries), reason, written)
            self.ledger.lock.run(self._book_given_up, entries, booking)
        finally:
            self.ledger.lock.run(self._in_flight.stay, entries)
        if entries:
            self.losses.of_given_up(reason, entries, written)

    def _take_all(self, into: list[bytes]) -> None:
        self._in_flight.leave(into)
        self._buffer.drain(into)
        self._buffer.keep(into)

    def _book_given_up(self, entries: list[bytes], booking: Booking) -> None:
        is_last = self._in_flight.left(entries, booking)
        self._buffer.settle(sum(map(len, entries)), is_last=is_last)

    def close(self) -> None:
        """Close the connection: now, or, if a pass is under way, at its end."""
        self._is_closed = True
        taker = object()
        try:
            if self._sending.setdefault(TURN, taker) is taker:
                self._wire.close()
        finally:
            if TURN in self._sending and self._sending[TURN] is taker:
                del self._sending[TURN]
