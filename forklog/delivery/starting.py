"""The part of a pipeline that takes entries; the first one starts its thread (see `lifecycle`).

The first entry starts the flush thread. In a uWSGI process that will fork its workers it makes the
pipeline hold. A pipeline that holds has no thread and no socket; its entries wait for a descendant
that adopts them. Where no thread can run, the same passes run inline.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from forklog.clock import monotonic
from forklog.delivery.adoption import HeldEntries
from forklog.delivery.base import Reporter, Spooler, Store
from forklog.delivery.buffer import Buffer
from forklog.delivery.lifecycle import ENDED, Action, Ended, Event, Staged, State
from forklog.drops import CLOSED
from forklog.insert_id import InsertIds
from forklog.process.base import Host, Member
from forklog.turn import TURN, Turn

if TYPE_CHECKING:
    from forklog.delivery.sending.sender import Sender
    from forklog.delivery.worker import Worker

_FIRST_RETRY, _LONGEST_RETRY = 0.25, 1.0  # seconds between two tries to start a thread


class Starting(Staged):
    """What `Pipeline` inherits; it has the attributes."""

    pid: int
    buffer: Buffer
    store: Store
    spooler: Spooler | None
    insert_ids: InsertIds
    sender: Sender
    worker: Worker
    _is_finishing: bool
    _host: Host
    _report: Reporter
    held: HeldEntries
    _on_hold: Callable[[], object]
    _on_start: Callable[[], object]
    _settle_late: Callable[[], None]
    _thread_is_idle: Callable[[], None]

    def __init__(self) -> None:
        """Start nothing."""
        super().__init__()
        self._start_turn = Turn()
        self._retry_at, self._retry_wait = math.inf, 0.0  # of a thread that could not be started

    def _woken(self) -> None:
        """Start or wake the worker's thread: called by `Buffer.offer`, where `arm` asked for it.

        Runs in the logging thread, in any context. Does not block, but where no thread can run: see
        `Passes.run_inline`. An exception may strike at every call below and leave the work half
        done. Then the next offer calls this again: each step may be repeated.
        """
        # The thread has the turn of `runner` from its beginning to its end.
        runner = self.worker.thread.runner
        if self.state is not State.RUNNING or TURN not in runner or _are_imports_over():
            self._advance()
        self.worker.wakeup.set()

    def _advance(self) -> None:
        """Do what the state asks for after an offer; where another frame does it already, leave."""
        turn, taker = self._start_turn, object()
        while True:
            try:
                if turn.setdefault(TURN, taker) is not taker:
                    return
                event = self._event()
                if event is not None:
                    self._perform(event)
            finally:
                if TURN in turn and turn[TURN] is taker:
                    del turn[TURN]
            # Armed after the turn is given back: an offer that came meanwhile found the turn taken.
            if self.state is State.INLINE and self._retry_at == math.inf:
                rank = 0 if self.worker.orders.is_draining else self.worker.flush_rank
                self.store.arm(rank, self.worker.trigger_bytes)
            elif self.state is not State.RUNNING or TURN not in self.worker.thread.runner:
                self.store.arm(0)  # a thread that has begun arms by itself; it may never begin
            if not self._is_left_over():
                return

    def _is_left_over(self) -> bool:
        """Tell whether an offer came that has woken none, while another one was dealt with."""
        if self.state is State.CLOSED:
            return not self._is_finishing and self.buffer.has_waiting()  # a spool keeps its own
        return self.state is State.HOLDING and self.held.has_unheld()

    def _event(self) -> Event | None:
        """Return what a record means in this process now, None where its thread runs."""
        if _are_imports_over():
            return Event.RECORD_AT_LAST
        is_draining = self.worker.orders.is_draining
        if self.state is State.RUNNING and self.worker.thread.is_up():
            return None
        if self.state is State.INLINE:
            if is_draining:
                return Event.RECORD_AT_EXIT
            if monotonic() < self._retry_at:
                return Event.RECORD_WITHOUT_THREADS
        if self._host.is_loader() and not is_draining:
            return Event.RECORD_IN_LOADER
        return Event.RECORD if self._host.may_run_threads() else Event.RECORD_WITHOUT_THREADS

    def _perform(self, event: Event) -> None:
        name = METHODS.get(self._take(event))
        if name is not None:
            getattr(self, name)()

    def _give_up_late(self) -> None:
        if not self._is_finishing:
            self.sender.give_up(CLOSED)

    def _hand_on_late(self) -> None:
        if not self._is_finishing:
            self._settle_late()

    def _send_here(self) -> None:
        self.worker.run_inline()

    def _start(self) -> None:
        self._take_over()
        if self.worker.thread.is_up():
            return
        name = f"forklog-flush-{self.pid}"
        try:
            calls = self._begin_thread, self._thread_ended, self._thread_failed
            self.worker.start_thread(name, *calls)
        except RecursionError:  # a RuntimeError as well; the next record is less deep
            raise
        except RuntimeError as error:
            # From 3.12 on none starts while the interpreter shuts down: the exit hooks deliver.
            self._thread_failed(is_wanted="interpreter shutdown" not in str(error))

    def _take_over(self) -> None:
        """Register with forks and exits; have what this process held, and what it may adopt."""
        self._host.enlist(cast("Member", self))
        self.held.stop_holding()
        self._adopt_held()
        if self.spooler is not None:
            self.spooler.take_in()

    def _begin_thread(self) -> None:
        """Do, in the flush thread, what comes before its first pass."""
        if self.spooler is not None:
            # A finalizer's record may have started this thread in the middle of an opening call.
            self.spooler.take_in()
        self._on_start()

    def _thread_ended(self, ended: Ended) -> None:
        """Take note, in the flush thread, that it ends: the next entry starts another one."""
        self._retry_wait = 0.0
        if ended is Ended.IDLE:
            self._thread_is_idle()
        self._perform(ENDED[ended])

    def _look(self) -> None:
        """Start again what is wanted."""
        self.store.arm(0)
        if self.sender.is_pending():
            self._woken()

    def _stay_paused(self) -> None:
        self.store.arm(0)
        if not self.worker.orders.is_paused:  # the fork is over, and `restart` saw us running
            self._look()

    def _thread_failed(self, *, is_wanted: bool = True) -> None:
        """Send here what waits; the next record tries again, later ones once a second at most."""
        self._retry_at = monotonic() + self._retry_wait
        self._retry_wait = min(2 * self._retry_wait or _FIRST_RETRY, _LONGEST_RETRY)
        if self._take(Event.NO_THREAD) is Action.GO_INLINE:
            why = "the flush thread cannot run (raise the limit of threads or of memory)"
            self._send_inline(why, is_wanted=is_wanted)

    def _go_inline(self) -> None:
        self._take_over()
        self._retry_at = math.inf
        self._send_inline("threads are off in this uWSGI server (set enable-threads)")

    def _send_inline(self, why: str, *, is_wanted: bool = False) -> None:
        if not self.worker.orders.is_draining:
            text = f"{why}: logs are sent by the logging threads themselves, in batches"
            self._report.say("inline", text)
        self._host.after_request(self)
        self.worker.run_inline(is_wanted=is_wanted)

    def _hold(self) -> None:
        """Keep this process's entries for a descendant; it is decided anew at every entry."""
        self._host.enlist_exit(cast("Member", self))
        self._on_hold()
        self.held.hold()

    def adopt(self) -> None:
        """Stop holding, adopt, deliver: what a process that uWSGI forked does early.

        The held entries may be another's already, and dead processes may have left entries as well.
        """
        if self.held.inheritance() is not None:
            self._perform(Event.ADOPT)
        is_running = self.state is State.RUNNING
        if not is_running and self.spooler is not None and self.spooler.has_orphans():
            self._perform(self._event() or Event.RECORD)

    def _adopt(self) -> None:
        if self._adopt_held():
            self._woken()

    def _adopt_held(self) -> int:
        number = self.held.adopt()
        self.worker.overflow.settle_held(*self.held.take_overflow())
        return number


METHODS: Mapping[Action, str] = {
    Action.HOLD: "_hold",
    Action.START: "_start",
    Action.GO_INLINE: "_go_inline",
    Action.SEND_HERE: "_send_here",
    Action.FLUSH_HERE: "_flush_here",
    Action.GIVE_UP: "_give_up_late",
    Action.HAND_ON: "_hand_on_late",
    Action.ADOPT: "_adopt",
    Action.LOOK: "_look",
    Action.STAY_PAUSED: "_stay_paused",
}
"""By action: the method of `Pipeline`. The other actions are those of `shutdown`."""


def _are_imports_over() -> bool:
    """Tell whether the interpreter takes its modules down: no thread runs, urllib3 cannot work.

    What finalizers log then goes to the last resort.
    """
    return getattr(sys, "meta_path", None) is None
