"""Runs the passes of the sender in the flush thread of one pipeline; ends and restarts that thread.

Belongs to one pipeline. `schedule.next_step` decides; the thread sleeps without a timeout while
there is nothing to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from forklog.clock import monotonic
from forklog.delivery.base import Store
from forklog.delivery.lifecycle import Ended, Order
from forklog.delivery.passes import NO_THREAD, Passes
from forklog.delivery.schedule import End, Send, SendResult, Wait, next_step, ordered_end
from forklog.delivery.sending.backoff import FIRST_DELAY
from forklog.process.base import home
from forklog.severity import NEVER

_CALM_SECONDS_AT_END = 0.05  # after a crash, where the process leaves
_BUSY_SECONDS = 0.05  # between two looks while another thread sends
_THREAD_SECONDS = 0.2  # for a thread whose work is done, or given up, to end


class Worker(Passes):
    """Run passes for one pipeline.

    What runs passes waits until `wakeup` is set, or for a time. Who waits for the thread,
    `await_settled` and `await_room`, is woken after each pass, and by its end.
    """

    _calm_at, _crashes = 0.0, 0  # until when the thread after a crash waits; crashes in a row

    def start_thread(
        self,
        name: str,
        on_start: Callable[[], object],
        on_end: Callable[[Ended], object],
        on_failure: Callable[[], object],
    ) -> None:
        """Start the flush thread, from any context, without waiting for it.

        Args:
            name: the thread's name.
            on_start: called in the thread before its first pass; not if a fork is about to come.
            on_end: called in the thread, with how it ended, once it runs no pass any more.
            on_failure: called if the thread cannot start.
        """
        self.thread.start(name, lambda done: self._run(on_start, on_end, done), on_failure)

    def _run(
        self,
        on_start: Callable[[], object],
        on_end: Callable[[Ended], object],
        done: Callable[[], object],
    ) -> None:
        """Run passes until an order ends it, or a crash: the body of the flush thread.

        Args:
            on_start: see `start_thread`.
            on_end: see there.
            done: gives back the turn of `FlushThread.runner`: from then on another may start.
        """
        ended, own = Ended.CRASHED, home()
        try:
            self.thread_ident = threading.get_ident()
            if self._await_calm():
                # Now and not when there is nothing to do. After a flush the thread sleeps, so that
                # a fork from C finds no thread that waits for the interpreter.
                on_start()
                ended = self._loop()
            else:
                ended = Ended.PAUSED
        except BaseException as error:  # noqa: BLE001 - a dead thread must be known and replaced
            if self.orders.highest is Order.STOP or not own[0]:
                ended = Ended.STOPPED
            else:
                self._note_crash()
                text = f"the flush thread ended by {type(error).__name__}, another one follows"
                self._report.say("bug", f"{text}; report it as a bug of forklog")
        finally:
            self._buffer.arm(0)  # first: the next record has to find out
            self.thread_ident = NO_THREAD
            done()
            if own[0]:
                on_end(ended)
            self._settled.set()

    def _note_crash(self) -> None:
        """Keep the next thread back, for longer where one crash follows the other."""
        now, ceiling = monotonic(), self._options.max_retry_delay
        self._crashes = self._crashes + 1 if now < self._calm_at + ceiling else 0
        self._calm_at = now + min(ceiling, FIRST_DELAY * 2.0 ** min(self._crashes, 30))

    def _await_calm(self) -> bool:
        """After a crash, wait before the next pass; only briefly if the process is exiting.

        Returns:
            Whether the wait is over; else the process is about to fork.
        """
        orders = self.orders
        if self._calm_at > monotonic():
            self._buffer.arm(NEVER)
        while (left := self._calm_at - monotonic()) > 0:
            if orders.is_paused:
                return False
            if orders.is_draining:
                self.wakeup.wait(min(left, _CALM_SECONDS_AT_END))
                return True
            self.wakeup.wait(left)
        return True

    def _loop(self) -> Ended:
        armed: Wait | None = None
        orders = self.orders
        while True:
            # Without a look, which a fork that waits for this end would have to wait for, too.
            end = ordered_end(orders.highest, is_paused=orders.is_paused)
            step = end or next_step(self._observe())
            if isinstance(step, End):
                return step.how
            if isinstance(step, Send):
                outcome = self.pass_in_thread()
                if outcome is SendResult.FORKED:  # the child's thread ends, and its process with it
                    return Ended.STOPPED
                if outcome is SendResult.BUSY:  # another thread sends
                    self.wakeup.wait(_BUSY_SECONDS)
            elif armed is None or not _is_same_alarm(step, armed):
                # Armed, then looked again: what came before is seen, what comes later wakes.
                self._buffer.arm(step.wake_rank, step.alarm_bytes)
                armed = step
                continue
            else:
                self.wakeup.wait(step.seconds)
            armed = None

    def end_when_idle(self) -> None:
        """Let the thread end once nothing is pending. Never blocks."""
        self.orders.give(Order.END_WHEN_IDLE)
        self.wakeup.set()

    def drain(self, key: bytes = b"") -> None:
        """Have what is below the key sent, and what comes later too, without lingering."""
        self.orders.give(Order.DRAIN)
        self.send_until(key)

    def drain_no_more(self) -> None:
        """Linger again, since what asked for the drain was interrupted."""
        self.orders.withdraw(Order.DRAIN)

    def stop(self) -> None:
        """Have the thread end now. Never blocks."""
        self.orders.give(Order.STOP)
        self.wakeup.set()

    def pause(self) -> None:
        """Have the thread end between two passes, before a fork. Never blocks."""
        self.orders.pause(is_paused=True)
        self.wakeup.set()

    def await_paused(self, since: float | None = None) -> None:
        """Pause the worker before a fork and wait until its thread is gone."""
        self.pause()
        if not self.is_own_thread():
            self.thread.await_gone(self._sender.is_busy, since)

    def resume(self) -> None:
        """Let a thread run again after a fork."""
        self.orders.pause(is_paused=False)

    def end_thread(self, key: Callable[[], bytes], deadline: float, *, is_running: bool) -> None:
        """Have the flush thread end; deliver here what it left, such as its last notice of drops.

        Args:
            key: returns, once the thread has ended, the key below which all is to be settled.
            deadline: on the monotonic clock.
            is_running: whether there is a thread.
        """
        self.stop()
        thread = self.thread
        if is_running and not self.is_own_thread():
            least = 0.0 if self._host.is_ending() else _THREAD_SECONDS
            thread.await_ended(max(deadline, monotonic() + least), self._is_hopeless)
            if thread.ended.is_set():
                thread.await_gone(self._sender.is_busy)
        if thread.ended.is_set() or not is_running:
            self.flush_inline(key(), deadline)

    def _is_hopeless(self) -> bool:
        """Tell whether the thread waits for the answer to what was given up meanwhile."""
        sender = self._sender
        # In this order: an entry is in flight before it waits no more.
        is_at_work = self._buffer.has_waiting() or sender.has_in_flight()
        return sender.is_busy() and not (is_at_work or sender.on_drop.is_calling)

    def end_in_child(self) -> None:
        """In a process forked just now: see `FlushThread.end_in_child`."""
        self.orders.give(Order.STOP)
        self.thread.end_in_child()

    def await_settled(self, key: bytes, deadline: float) -> None:
        """Wait until the thread has settled all below the key, or has ended, or the deadline."""
        self.send_until(key)
        while (left := deadline - monotonic()) > 0:
            with self._settled.waiting() as wakeup:  # before the look: what comes after it wakes
                if self._sender.oldest_to_send() > key:
                    return
                has_ended = not self.thread.is_up()
                wakeup.wait(min(left, 0.005 if has_ended else 1.0))
            if has_ended:
                return

    def await_room(self, buffer: Store) -> None:
        """Hold the calling thread while the lanes are full; never the flush thread.

        Args:
            buffer: the lanes, not a spool before them, which has a bound of its own.
        """
        deadline = monotonic() + self._options.block_timeout
        if self.is_own_thread():
            return
        while buffer.bytes > buffer.max_bytes and (left := deadline - monotonic()) > 0:
            with self._settled.waiting() as wakeup:
                wakeup.wait(min(left, 0.05))


def _is_same_alarm(one: Wait, other: Wait) -> bool:
    return (one.wake_rank, one.alarm_bytes) == (other.wake_rank, other.alarm_bytes)
