"""The part of a pipeline that waits: for a flush, a close, or the end of the process.

Whoever calls waits here, against a deadline; the flush thread works meanwhile, or the caller sends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from forklog.clock import monotonic
from forklog.delivery.base import Reporter, Spooler, Store
from forklog.delivery.buffer import Buffer
from forklog.delivery.lifecycle import Action, Event, Staged, State
from forklog.drops import SHUTDOWN
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host, Mark, Member
from forklog.snapshot import Stats
from forklog.turn import EndEvent

if TYPE_CHECKING:
    from forklog.delivery.sending.sender import Sender
    from forklog.delivery.worker import Worker


class Shutdown(Staged):
    """What `Pipeline` inherits; it has the attributes and the states."""

    mark: Mark
    _home: Mark
    buffer: Buffer
    store: Store
    spooler: Spooler | None
    sender: Sender
    worker: Worker
    insert_ids: InsertIds
    _before: Shutdown | None
    _options: Options
    _host: Host
    _report: Reporter
    _woken: Callable[[], None]
    _look: Callable[[], None]
    _settle_late: Callable[[], None]
    _leave_wire: Callable[[], None]

    def __init__(self) -> None:
        """Leave nothing yet."""
        super().__init__()
        self.is_closing = self._is_finishing = False
        self._closing: dict[EndEvent, int] = {}  # by close under way: its thread
        self._known_lost = 0  # lost entries that an earlier flush has reported

    def stats(self) -> Stats:
        """See `Pipeline`."""
        raise NotImplementedError

    def flush(self, timeout: float | None) -> bool:
        """Wait until all that was accepted before the call is settled, or the timeout is over.

        Returns:
            Whether the server has confirmed all of it: False, too, if entries were diverted or
            dropped since the last call that returned; and at once where this process only holds
            (a uWSGI master).
        """
        known_lost = self._known_lost
        own = None if timeout is None else monotonic() + timeout
        is_settled = self._host.waiting(
            self.shutdown_timeout, lambda until: self._flush_all(until if own is None else own)
        )
        stats = self.stats()
        self._known_lost = sum(stats.diverted.values()) + sum(stats.dropped.values())
        return bool(is_settled) and self._known_lost == known_lost

    def _know_lost_of(self, before: Shutdown) -> None:
        """Know the losses that flushes of the pipeline before this one have reported."""
        self._known_lost = before._known_lost

    def _flush_all(self, deadline: float) -> bool:
        is_settled, before = self.flush_until(deadline), self._before
        # That one is in `close`, in another thread: its entries were logged before the call, too.
        return is_settled and (before is None or before._flush_all(deadline))  # noqa: SLF001

    def flush_until(self, deadline: float) -> bool:
        """Flush this pipeline alone, until a deadline on the monotonic clock."""
        key = self.insert_ids.key()
        if self.state is State.HOLDING:
            self._woken()
        is_own = self.worker.is_own_thread()  # a callback, for which nothing will be settled
        while self.sender.oldest_to_send() <= key and monotonic() < deadline and not is_own:
            if not self._home[0]:  # `on_drop` has forked in the pass, and this is the child
                break
            threads_are_gone = sys.is_finalizing()  # of an interpreter beside the main one
            if self.state is State.INLINE or (self.state is State.RUNNING and threads_are_gone):
                self.worker.flush_inline(key, deadline)
            elif self.state is State.RUNNING:
                if not self.worker.thread.is_up():  # an exception struck its start, or itself
                    self._woken()
                self.worker.await_settled(key, deadline)
            elif self.state is State.INERT:  # the thread is paused for a fork, or died
                self._look()
            else:
                break
        return self.sender.oldest_unsettled() > key

    def close(self, timeout: float | None = None) -> None:
        """Deliver what is pending within the timeout, hand the rest to the last resort, stop.

        Idempotent. In a process that holds, the held entries stay for its descendants.

        Raises:
            BaseException: what a signal handler has raised meanwhile. The handler stays open then,
                and what is pending is left to the next close, or to the exit.
        """
        action = self._take(Event.CLOSE)
        if action is not Action.FLUSH:
            if action is Action.END_WHEN_IDLE:
                self.worker.end_when_idle()
            return
        seconds, over = self.shutdown_timeout if timeout is None else timeout, EndEvent()
        try:
            self._closing[over] = threading.get_ident()
            # Before the waiting: what other threads log meanwhile starts a successor.
            self.is_closing = True
            self.mark[0] = 0
            self.worker.drain()
            self._host.waiting(seconds, self._flush_and_finish)
        finally:
            if self.state is not State.CLOSED and self._home[0]:
                self.is_closing = False
                self.mark[0] = 1
                self.worker.drain_no_more()
            over.set()
            self._closing.pop(over, None)
            if self.state is State.CLOSED:  # a MemoryError may have come before the thread knew
                self.worker.stop()

    def _flush_and_finish(self, deadline: float) -> None:
        try:
            is_settled = self.flush_until(deadline)
        except BaseException:
            if self._host.is_ending():  # it is the exit that the user does not want to wait for
                self._finish(monotonic(), is_settled=False)
            raise
        if self._home[0]:  # else `on_drop` has forked meanwhile: the child gives up nothing
            self._finish(deadline, is_settled=is_settled)

    def _finish(self, deadline: float, *, is_settled: bool) -> None:
        with self._host.without_signals(), self.sender.on_drop.at_end(self.shutdown_timeout):
            if not is_settled:
                self.sender.give_up(SHUTDOWN)
            if not self._home[0]:  # `on_drop` has forked, and this is the child
                return
            is_running = self.state is State.RUNNING or not self.worker.thread.ended.is_set()
            # A log call that began before the close may offer its entry now: it is sent with what
            # the thread has left.
            self._is_finishing = True
            try:
                self._take(Event.CLOSED)
                self.mark[0] = 0  # another close may have been interrupted meanwhile
                self.worker.end_thread(self.insert_ids.key, deadline, is_running=is_running)
                self.store.arm(0)
            finally:
                self._is_finishing = False
            if self._home[0]:  # as above
                self._settle_late()
            if self._home[0]:
                self._say_all()
            if self._home[0]:
                self._leave_wire()

    def _say_all(self) -> None:
        """Account for what overflows dropped, and say what the rate limit has withheld so far."""
        self.worker.overflow.report()
        self._report.finish()

    def _flush_here(self) -> None:
        """Deliver what is pending before the process ends, as the hooks of this process do."""
        if not self.worker.is_own_thread():
            self._host.flush_at_exit([cast("Member", self)])

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that an exit may take for this pipeline."""
        return self._options.shutdown_timeout

    @property
    def is_inline(self) -> bool:
        """Tell whether the logging threads send."""
        return self.state is State.INLINE

    def begin_exit(self) -> bool:
        """Have the pipeline drain; tell whether it is this process's and has anything to drain."""
        if not self.mark[0]:
            return bool(self._closes())
        if self.state is State.INERT and not self.sender.is_pending():
            return False
        action = self._take(Event.EXIT)
        if action is Action.NONE:
            return False
        self.worker.drain(self.insert_ids.key())
        if action is Action.DRAIN_AND_LOOK:
            self._woken()
        return True

    def _closes(self) -> list[EndEvent]:
        """Return the ends of what other threads of this process have in `close`."""
        own = threading.get_ident()
        closing = list(self._closing.items()) if self._home[0] else []
        return [over for over, ident in closing if ident != own and not over.is_set()]

    def await_exit(self, deadline: float) -> bool:
        """Wait until everything is settled, what came meanwhile too; tell whether it is."""
        if not self.mark[0]:  # daemon threads, which may be in `close`, end with the process
            is_over = all(over.wait(deadline - monotonic()) for over in self._closes())
            if not (is_over and self.mark[0]):  # it is true again after a `close` that raised
                return is_over
        is_settled = self.flush_until(deadline) and self.flush_until(deadline)
        if is_settled and self._host.is_ending():
            self.worker.orphans.adopt_last(deadline)
        return is_settled

    def end_exit(self, *, is_settled: bool, is_end: bool = True) -> None:
        """Give up what is not settled; linger again if the process may go on."""
        if not self.mark[0] and (is_settled or not is_end):  # a `close` that goes on may settle it
            return
        if not is_end and self.mark[0]:
            self.worker.drain_no_more()
        with self.sender.on_drop.at_end(self.shutdown_timeout):
            if not is_settled:
                self.sender.give_up(SHUTDOWN)
            self._say_all()
        if self.spooler is not None and is_settled and self._host.is_ending():
            self.spooler.leave()
        elif self.spooler is not None and not is_settled:
            self.spooler.report_left()

    def retire(self) -> bool:
        """Have the logging threads send from now on: after the last hook none waits for ours.

        Returns:
            Whether the thread has ended, or is about to.
        """
        if self.mark[0] and self._take(Event.RETIRE) is Action.STOP:
            self.worker.stop()
            self.store.arm(0)
        return not self.mark[0] or not self.sender.is_busy() or self.worker.is_own_thread()
