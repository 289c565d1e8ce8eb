"""The worker: decides when a pass of the sender runs, in the flush thread or inline.

Belongs to one pipeline. The thread sleeps without a timeout while there is nothing to do, lingers
for ``max_latency`` while a batch grows, and waits out failures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from forklog.clock import monotonic
from forklog.delivery.base import Reporter
from forklog.delivery.buffer import NEVER, Buffer
from forklog.delivery.losses import Overflow
from forklog.delivery.sending.sender import Sender, SendResult
from forklog.delivery.wakeup import Wakeup, Wakeups
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host
from forklog.severity import rank_of_level

Notice = Callable[[InsertIds, int, str], tuple[int, bytes]]
NO_THREAD = -1
_LINGER_BYTES = 1024 * 1024  # a batch of this size is worth a request of its own
_URGENT_SECONDS = 0.02  # between takes, so that a burst of errors is no request for each
_FIRST_SHORT_WAIT, _LONGEST_SHORT_WAIT = 0.05, 0.8  # between attempts while the process leaves


class Worker:
    """Run passes for one pipeline. All waits end when `wakeup` rings."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a pipeline
        self,
        options: Options,
        buffer: Buffer,
        sender: Sender,
        ids: InsertIds,
        report: Reporter,
        notice: Notice,
        host: Host,
    ) -> None:
        """Start nothing; ``notice`` makes the entry by which the log itself reports drops."""
        self.wakeup = Wakeup()
        self.thread = host.new_thread()
        self.thread_ident = NO_THREAD
        self.is_leaving = False  # no lingering, no waiting out of failures
        self.is_stopping = False  # the thread is to end now
        self.is_resting = False  # ...between two passes, because the process is about to fork
        self.stops_when_idle = False  # ...once everything is settled
        self.on_start: Callable[[], object] = lambda: None  # called before the first pass
        self.flush_until = b""  # a flush waits for all entries below this key
        self.flush_rank = rank_of_level(options.flush_level)
        quarter = options.max_buffer_bytes // 4
        self.trigger_bytes = min(_LINGER_BYTES, options.max_batch_bytes, quarter)
        self.overflow = Overflow(options, buffer, sender.ledger, sender.losses)
        self._options = options
        self._buffer = buffer
        self._sender = sender
        self._ids = ids
        self._report = report
        self._notice = notice
        self._host = host
        self._settled = Wakeups()  # rung after each pass
        self._not_before = self._last_take = 0.0
        self._noticed_at = -1  # the number delivered then
        self._is_wait_short, self._short_wait = False, _FIRST_SHORT_WAIT

    def start_thread(
        self, name: str, on_end: Callable[[], object], on_failure: Callable[[], object]
    ) -> None:
        """Start the flush thread, from any context; see `WorkerThread.start`.

        ``on_end`` is the last that the thread calls, ``on_failure`` is called if it cannot start.
        """
        self.thread.start(name, lambda done: self._run(on_end, done), on_failure)

    def _run(self, on_end: Callable[[], object], done: Callable[[], object]) -> None:
        try:
            self.thread_ident = threading.get_ident()
            # Now and not when there is nothing to do: after a flush the thread sleeps, so that a
            # fork from C finds no thread that waits for the interpreter.
            self.on_start()
            while not self.is_stopping:
                self._await_work()
                if self.is_resting:
                    break
                self._host.keep_hooks()
                self._one_pass(None)
        except BaseException as error:  # noqa: BLE001 - a dead thread must be known and replaced
            if not self.is_stopping:
                self._report.say("bug", f"the flush thread ended by {type(error).__name__}")
        finally:
            self._buffer.wake_rank = 0  # first, and no call: the next record has to find out
            self.thread_ident = NO_THREAD
            done()
            on_end()
            self._settled.set()

    def _await_work(self) -> None:
        """Sleep while a failure passes, while there is nothing to do, while a batch may grow."""
        self._wait_out()
        if self._sender.has_in_flight() or self.is_stopping or self.is_resting:
            return
        until = self._last_take + self._options.max_latency
        if not len(self._buffer):
            until = self._sleep_until_first() + self._options.max_latency
        self._linger(until)
        self._last_take = monotonic()
        self._buffer.arm(NEVER)

    def _wait_out(self) -> None:
        """Sleep while a failure passes. Leaving ends that; from then on the waits are short."""
        while (left := self._not_before - monotonic()) > 0:
            is_cut = self.is_leaving and not self._is_wait_short
            if is_cut or self.is_stopping or self.is_resting:
                return
            self.wakeup.wait(left)

    def _sleep_until_first(self) -> float:
        while not self.is_stopping and not self.is_resting:
            self._buffer.arm(0)
            until_aside = self._sender.aside.seconds()
            if len(self._buffer) or until_aside == 0:
                break
            if self.stops_when_idle and until_aside is None:
                self.is_stopping = True
                break
            self.wakeup.wait(until_aside)
        return monotonic()

    def _linger(self, until: float) -> None:
        while True:
            # Armed before the look, so that what comes after the look rings.
            self._buffer.arm(self.flush_rank, self.trigger_bytes)
            if self._buffer.is_urgent(self.flush_rank):
                until = min(until, self._last_take + _URGENT_SECONDS)
                self._buffer.arm(NEVER, self.trigger_bytes)
            left = until - monotonic()
            is_due = self._buffer.bytes > self.trigger_bytes or self._is_hurried()
            if left <= 0 or is_due or self._sender.oldest_to_send() <= self.flush_until:
                return
            self.wakeup.wait(left)

    def _is_hurried(self) -> bool:
        return self.is_stopping or self.is_leaving or self.is_resting

    def rest(self, since: float | None = None) -> None:
        """Have the thread end between two passes; wait as `WorkerThread.await_gone` does."""
        self.is_resting = True
        self.wakeup.set()
        if not self.is_own_thread():
            self.thread.await_gone(self._sender.is_busy, since)

    def is_own_thread(self) -> bool:
        """Tell whether the calling thread is the one that runs passes, as in a callback of one."""
        return threading.get_ident() == self.thread_ident

    def end_in_child(self) -> None:
        """In a process forked just now: see `WorkerThread.end_in_child`."""
        self.is_stopping = True
        self.thread.end_in_child()

    def run_inline(self, *, is_wanted: bool = False) -> None:
        """Send in the calling thread if something urgent or a full batch waits, or if wanted.

        Blocks for the answer, for ``shutdown_timeout`` at most, but not while a failure passes: a
        server that is gone must not hold up each request of the application.
        """
        is_due = is_wanted or self._is_hurried() or self._buffer.is_urgent(self.flush_rank)
        if (is_due or self._buffer.bytes > self.trigger_bytes) and monotonic() >= self._not_before:
            self.pass_inline(min(self._options.answer_timeout, self._options.shutdown_timeout))

    def pass_inline(self, timeout: float) -> SendResult:
        """Run one pass in the calling thread, waiting ``timeout`` seconds for the answer."""
        before, self.thread_ident = self.thread_ident, threading.get_ident()
        try:
            return self._one_pass(max(0.05, timeout))
        finally:
            self.thread_ident = before

    def flush_inline(self, mark: bytes, deadline: float) -> None:
        """Run passes in the calling thread until all below the mark is settled, or the deadline."""
        while self._sender.oldest_to_send() <= mark and (left := deadline - monotonic()) > 0:
            wait = self._not_before - monotonic()
            if wait > 0 and (self._is_wait_short or not self.is_leaving):
                self.wakeup.wait(min(wait, left))
            elif self.pass_inline(min(left, self._options.answer_timeout)) is not SendResult.SENT:
                self.wakeup.wait(min(0.05, left))

    def await_settled(self, mark: bytes, deadline: float) -> None:
        """Wait until the thread has settled all below the mark, or has ended, or the deadline."""
        self.flush_until = max(self.flush_until, mark)
        self.wakeup.set()
        while (left := deadline - monotonic()) > 0:
            with self._settled.waiting() as wakeup:  # before the look: what comes after it rings
                if self._sender.oldest_to_send() > mark:
                    return
                has_ended = not self.thread.is_up()
                wakeup.wait(min(left, 0.005 if has_ended else 1.0))
            if has_ended:
                return

    def await_room(self) -> None:
        """Hold the calling thread while the buffer is full; never the flush thread."""
        deadline = monotonic() + self._options.block_timeout
        buffer = self._buffer
        if self.is_own_thread():
            return
        while buffer.bytes > buffer.max_bytes and (left := deadline - monotonic()) > 0:
            with self._settled.waiting() as wakeup:
                wakeup.wait(min(left, 0.05))

    def _one_pass(self, timeout: float | None) -> SendResult:
        outcome = SendResult.LATER  # where it raises, too, so that no loop is busy
        try:
            outcome = self._sender.send_once(timeout)
        finally:
            if outcome is SendResult.LATER:
                self._put_off(self._sender.delay)
        self.overflow.tell()
        if outcome is SendResult.SENT:
            self._short_wait = _FIRST_SHORT_WAIT
            self._report_drops()
        self._report.catch_up()
        self._settled.set()
        return outcome

    def _put_off(self, delay: float) -> None:
        """Keep the next attempt back; little, but more each time, where the process leaves."""
        self._is_wait_short = self.is_leaving
        if self.is_leaving:
            delay = min(delay, self._short_wait)
            self._short_wait = min(2 * self._short_wait, _LONGEST_SHORT_WAIT)
        self._not_before = monotonic() + delay

    def _report_drops(self) -> None:
        """Once the wire is back, let the log itself say what it lacks."""
        sender, ledger = self._sender, self._sender.ledger
        # One notice for each delivery: where everything is refused, a notice would be refused, too,
        # and that noticed again, for ever.
        if (
            sender.has_in_flight()
            or not ledger.has_unreported()
            or ledger.delivered == self._noticed_at
        ):
            return
        self._noticed_at = ledger.delivered
        for reason, number in ledger.take_unreported().items():
            self._buffer.offer(*self._notice(self._ids, number, reason))
