"""Runs passes of the sender for the worker, or inline; plans the next one from how each ended.

`schedule.next_step` decides. The worker's thread is in `worker`; here is one pass of it. Where no
thread can run or none is left, the calling thread runs such passes itself.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from forklog.clock import monotonic
from forklog.delivery.base import Reporter, Spooler, Store
from forklog.delivery.lifecycle import Order, Orders
from forklog.delivery.losses import Overflow
from forklog.delivery.schedule import Look, Send, SendResult, Wait, next_step
from forklog.delivery.sending.orphans import Orphans
from forklog.delivery.wakeup import Wakeup, Wakeups
from forklog.drops import REMEDIES
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host, home
from forklog.severity import NEVER, rank_of_threshold

if TYPE_CHECKING:
    from forklog.delivery.sending.sender import Sender

Notice = Callable[[InsertIds, int, str], tuple[int, bytes]]
NO_THREAD = -1
_LINGER_BYTES = 1024 * 1024  # a batch of this size is worth a request of its own
_URGENT_SECONDS = 0.02  # between takes, so that a burst of errors is no request for each
_FIRST_SHORT_WAIT, _LONGEST_SHORT_WAIT = 0.05, 0.8  # between attempts while the process leaves


class Passes:
    """The passes of one pipeline; what `Worker` inherits."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a pipeline
        self,
        options: Options,
        buffer: Store,
        sender: Sender,
        ids: InsertIds,
        report: Reporter,
        notice: Notice,
        host: Host,
        spooler: Spooler | None = None,
    ) -> None:
        """Start nothing; ``notice`` makes the entry by which the log itself reports drops."""
        self.wakeup = Wakeup()
        self.thread, self.thread_ident = host.new_thread(), NO_THREAD
        self.orders = Orders()
        self.flush_rank = rank_of_threshold(options.flush_level)
        quarter = options.max_buffer_bytes // 4
        self.trigger_bytes = min(_LINGER_BYTES, options.max_batch_bytes, quarter)
        self.overflow = Overflow(options.max_buffer_bytes, buffer, sender.ledger, sender.losses)
        self._options, self._buffer, self._sender = options, buffer, sender
        self._ids, self._report, self._notice = ids, report, notice
        self._host, self._spooler = host, spooler
        self.orphans = Orphans(options, sender, spooler, self.orders, self.wakeup)
        self._settled = Wakeups()  # set after each pass
        self._flush_until = b""  # a flush waits for all entries below this key
        self._retry_at = self._last_take = 0.0
        # Since when a batch grows; what waits as the first thread starts is sent at once.
        self._waiting_since: float | None = 0.0
        self._noticed_at = -1  # the number delivered then
        self.notices: deque[bytes] = deque(maxlen=len(REMEDIES))
        """The last entries that tell of drops, one for each reason."""
        self._is_retry_short, self._short_wait = False, _FIRST_SHORT_WAIT

    def _observe(self) -> Look:
        """Collect what `next_step` decides by."""
        now, buffer, orders = monotonic(), self._buffer, self.orders
        aside, pacing = self._sender.aside.seconds(), self._sender.pacing
        if not (has_waiting := buffer.has_waiting() or aside == 0):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        since = now if self._waiting_since is None else self._waiting_since
        return Look(
            now=now,
            order=orders.highest,
            is_paused=orders.is_paused,
            ends_when_idle=orders.ends_when_idle,
            retry_at=self._retry_at,
            is_retry_short=self._is_retry_short,
            has_in_flight=self._sender.has_in_flight(),
            has_waiting=has_waiting,
            aside_seconds=aside if aside is None else max(aside, pacing.gap_until - now),
            is_aside_next=self._sender.aside.is_next(),
            adopt_seconds=None if orders.is_draining else self.orphans.seconds(now),
            since=since,
            sent_at=pacing.sent_at,
            max_latency=self._options.max_latency,
            has_gap=pacing.gap() > 0,
            is_urgent=buffer.is_urgent(self.flush_rank),
            urgent_until=self._last_take + _URGENT_SECONDS,
            gap_until=pacing.gap_until,
            is_full=buffer.bytes - buffer.aside_bytes() > self.trigger_bytes,
            is_flushing=self._is_flushing(),
            flush_rank=self.flush_rank,
            trigger_bytes=self.trigger_bytes,
        )

    def send_until(self, key: bytes) -> None:
        """Have the thread send all below the key now. Never blocks."""
        self._flush_until = max(self._flush_until, key)
        self.wakeup.set()

    def _is_flushing(self) -> bool:
        until = self._flush_until
        return bool(until) and self._sender.oldest_to_send() <= until

    def _observe_inline(self, *, is_wanted: bool = False, is_flushing: bool = False) -> Look:
        """Return the look for a pass in the calling thread, which waits for no further entries."""
        look = self._observe()
        return replace(
            look,
            order=min(look.order, Order.DRAIN),
            is_paused=False,
            has_in_flight=False,
            has_waiting=True,
            max_latency=math.inf,
            urgent_until=look.now,
            gap_until=0.0 if look.has_in_flight else look.gap_until,
            is_wanted=is_wanted,
            is_flushing=is_flushing,
        )

    def is_own_thread(self) -> bool:
        """Tell whether the calling thread is the one that runs passes, as in a callback of one."""
        return threading.get_ident() == self.thread_ident

    def pass_in_thread(self) -> SendResult:
        """Run one pass in the flush thread; nothing has to wake it meanwhile."""
        self._buffer.arm(NEVER)
        self._last_take = self._waiting_since = monotonic()
        self._host.keep_hooks()
        return self._one_pass(None)

    def run_inline(self, *, is_wanted: bool = False) -> None:
        """Send in the calling thread if something urgent or a full batch waits, or if wanted.

        Blocks for the answer, for ``shutdown_timeout`` at most, but not while a failure passes or
        a quota refuses. A server that is gone must not hold up each request of the application.
        """
        if isinstance(next_step(self._observe_inline(is_wanted=is_wanted)), Send):
            self.pass_inline(min(self._options.answer_timeout, self._options.shutdown_timeout))

    def pass_inline(self, timeout: float) -> SendResult:
        """Run one pass in the calling thread; all its requests end within ``timeout`` seconds."""
        before, ident = self.thread_ident, threading.get_ident()
        try:
            self.thread_ident = ident
            return self._one_pass(max(0.05, timeout))
        finally:  # a thread that has started meanwhile knows itself
            self.thread_ident = before if self.thread_ident == ident else self.thread_ident

    def flush_inline(self, key: bytes, deadline: float) -> None:
        """Run passes in the calling thread until all below the key is settled, or the deadline."""
        while self._sender.oldest_to_send() <= key and (left := deadline - monotonic()) > 0:
            step = next_step(self._observe_inline(is_flushing=True))
            if isinstance(step, Wait):
                self.wakeup.wait(left if step.seconds is None else min(step.seconds, left))
                continue
            outcome = self.pass_inline(min(left, self._options.answer_timeout))
            if outcome is SendResult.FORKED:
                return
            if outcome is not SendResult.SENT:
                self.wakeup.wait(min(0.05, left))

    def _one_pass(self, timeout: float | None) -> SendResult:
        """Run one pass, and do what follows from it.

        The application's code may fork in it: `on_drop`, or a transport. The child gets FORKED. It
        has a copy of a pass and of a connection that are the parent's, and goes on with neither.
        """
        own, began = home(), monotonic()
        outcome = self._send_once(timeout)
        if own[0]:
            self.overflow.report()
        if own[0]:
            self._follow(outcome, math.inf if timeout is None else began + timeout)
        return outcome if own[0] else SendResult.FORKED

    def _send_once(self, timeout: float | None) -> SendResult:
        outcome = SendResult.LATER  # where it raises, too, so that no loop is busy
        began, requests = monotonic(), self._sender.ledger.requests
        try:
            outcome = self._sender.send_once(timeout, is_hurried=self.orders.is_draining)
        finally:
            if outcome is SendResult.LATER:
                self._put_off(self._sender.delay)
            if outcome is not SendResult.BUSY and self._sender.ledger.requests != requests:
                self._sender.pacing.sent(began)
        return outcome

    def _follow(self, outcome: SendResult, until: float) -> None:
        if outcome is SendResult.SENT:
            self._short_wait = _FIRST_SHORT_WAIT
            self._report_drops()
        if outcome is SendResult.SENT or outcome is SendResult.IDLE:
            self.orphans.adopt(until, has_sent=outcome is SendResult.SENT)
        elif outcome is SendResult.LATER and self._spooler is not None:
            self._spooler.check()
        self._report.catch_up()
        self._settled.set()

    def _put_off(self, delay: float) -> None:
        """Keep the next attempt back; little, but more each time, where the process leaves."""
        self._is_retry_short = is_draining = self.orders.is_draining
        if is_draining:
            delay = min(delay, self._short_wait)
            self._short_wait = min(2 * self._short_wait, _LONGEST_SHORT_WAIT)
        self._retry_at = monotonic() + delay

    def _report_drops(self) -> None:
        """After delivery works again, log an entry that counts what was dropped."""
        sender, ledger = self._sender, self._sender.ledger
        # One notice for each delivery: where all is refused, each notice would cause the next one.
        if (
            sender.has_in_flight()
            or not ledger.has_unreported()
            or ledger.account.delivered == self._noticed_at
        ):
            return
        self._noticed_at = ledger.account.delivered
        for reason, number in ledger.take_unreported().items():
            rank, entry = self._notice(self._ids, number, reason)
            self.notices.append(entry)
            self._buffer.offer(rank, entry)
