"""The pipeline of one process: built by the fork gate, fed by the handler, drives the rest.

Building it starts nothing. The first entry starts the flush thread, or, in a uWSGI process that
will fork its workers, makes the pipeline hold: no thread, no socket, the entries wait for a
descendant that adopts them. Where no thread can run, the same passes run inline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from forklog.clock import monotonic
from forklog.delivery.adoption import HeldEntries
from forklog.delivery.buffer import NEVER
from forklog.delivery.ending import are_imports_over
from forklog.delivery.prebuilt import Parts
from forklog.delivery.shutdown import Leaving
from forklog.options import Options
from forklog.process.base import Member, pid
from forklog.snapshot import State, Stats
from forklog.turn import TURN, Turn

_FIRST_RETRY, _LONGEST_RETRY = 0.25, 1.0  # seconds between two tries to start a thread


class Pipeline(Leaving):
    """Everything that belongs to one handler in one process.

    `offer` is safe from any thread, in signal handlers and finalizers; `flush` and `close` block
    and are for ordinary code. After a fork the child gets a new pipeline and leaves this one alone.

    Args:
        parts: a set of its own, built here or before the fork.
        inherited: the pipeline of the process that forked this one; entries that it held are
            adopted, nothing else of it is touched.
        on_hold: called when this process turns out to be one that holds.
        on_start: called by each flush thread before its first pass.
    """

    def __init__(
        self,
        options: Options,
        parts: Parts,
        inherited: Pipeline | None = None,
        *,
        on_hold: Callable[[], object] = lambda: None,
        on_start: Callable[[], object] = lambda: None,
    ) -> None:
        """Build; start nothing."""
        self.mark, self.pid = parts.mark, pid()
        self.successor: dict[str, object] = {}
        self.state, self.is_closing = State.INERT, False
        self.adopted = self.swallowed = 0
        self._options, self._on_hold = options, on_hold
        self._report, self.insert_ids = parts.report, parts.insert_ids
        self.buffer, self.sender, self._host = parts.buffer, parts.sender, parts.host
        self.worker, self.ending = parts.worker, parts.ending
        self.insert_ids.renew(inherited.insert_ids if inherited else None)
        self.offer, self.opening = self.buffer.offer, self.insert_ids.opening
        self.buffer.on_wake, self.worker.on_start = self._woken, on_start
        self.boot: HeldEntries = HeldEntries(
            self.buffer, inherited.boot.inheritance() if inherited else None, self._host.handover
        )
        self.worker.stops_when_idle = bool(inherited and inherited.worker.stops_when_idle)
        self._start_turn = Turn()
        self._retry_at, self._retry_wait = math.inf, 0.0  # of a thread that could not be started
        if self._host.is_past_hooks():  # no hook of ours will run any more
            self.state, self.worker.is_leaving = State.INLINE, True
        self.mark[0] = 1  # wiped, if the parts were built before the fork

    def _woken(self) -> None:
        """Take a wake-up from an offer that the buffer was armed for; any thread, any context.

        An exception may strike at every call below and leave the work half done. Then the buffer is
        armed again, and the next entry does it anew: each step may be repeated.
        """
        try:
            self.buffer.wake_rank = NEVER
            runner = self.worker.thread.runner
            if self.state is not State.RUNNING or TURN not in runner or are_imports_over():
                self._advance()
            self.worker.wakeup.set()
        except BaseException:
            self.buffer.wake_rank = 0  # no call: nothing strikes here
            raise

    def _advance(self) -> None:
        """Do what the state asks for after an offer; where another frame does it already, leave."""
        turn, token = self._start_turn, object()
        while True:
            try:
                if turn.setdefault(TURN, token) is not token:
                    return
                self._act()
            finally:
                if TURN in turn and turn[TURN] is token:
                    del turn[TURN]
            # Armed after the turn is given back: an offer that came meanwhile found the turn taken.
            if self.state is State.INLINE and self._retry_at == math.inf:
                rank = 0 if self.worker.is_leaving else self.worker.flush_rank
                self.buffer.arm(rank, self.worker.trigger_bytes)
            elif self.state is not State.RUNNING or TURN not in self.worker.thread.runner:
                self.buffer.arm(0)  # a thread that has begun arms by itself; it may never begin
            if self.state is not State.HOLDING or not self.boot.has_unheld():
                return

    def _act(self) -> None:
        if self.state is State.CLOSED or are_imports_over():
            self.ending.give_up("closed")
        elif self.state is State.INLINE and self.worker.is_leaving:
            self.at_exit()
        elif self.state is State.INLINE and monotonic() < self._retry_at:
            self.worker.run_inline()
        elif self.state is not State.RUNNING or not self.worker.thread.is_up():
            self._start()

    def _start(self) -> None:
        if self._host.is_loader() and not self.worker.is_leaving:
            self._hold()
            return
        self._host.enlist(self)
        # Before the thread exists, which may end and say so at once; `is_up` tells whether it does.
        self.state = State.RUNNING
        self.boot.stop_holding()
        self.adopted += self.boot.adopt()
        if not self._host.may_run_threads():
            self._retry_at = math.inf
            self._go_inline("threads are off in this uWSGI server (set enable-threads)")
        elif not self.worker.thread.is_up():
            self._start_thread()

    def _start_thread(self) -> None:
        try:
            name = f"forklog-flush-{self.pid}"
            self.worker.start_thread(name, self._thread_ended, self._thread_failed)
        except RecursionError:  # a RuntimeError as well; the next record is less deep
            raise
        except RuntimeError as error:
            # From 3.12 on none starts while the interpreter shuts down: the exit hooks deliver.
            self._thread_failed(is_wanted="interpreter shutdown" not in str(error))

    def _thread_ended(self) -> None:
        """Take note, in the flush thread, that it ends: the next entry starts another one."""
        if self.worker.stops_when_idle and self.mark[0]:
            self.worker.is_stopping = False  # it had nothing to do; a later entry starts another
        self._retry_wait = 0.0
        if self.state is State.RUNNING and not self.worker.is_stopping:
            self.state = State.INERT
            self.buffer.arm(0)
            if not self.worker.is_resting:
                self._wake_if_pending()

    def _wake_if_pending(self) -> None:
        if self.state is State.INERT and self.sender.is_pending():
            self._woken()

    def pause(self) -> None:
        """Have the thread end between two passes, before a fork. Never blocks."""
        if self.mark[0]:
            self.worker.is_resting = True
            self.worker.wakeup.set()

    def before_fork(self, since: float | None = None) -> None:
        """Bring the thread to rest, so that the process forks with one thread less."""
        if self.mark[0]:
            self.worker.rest(since)

    def after_fork_in_parent(self) -> bool:
        """Let the thread run again; return whether it is wanted at once (see `restart`)."""
        # Before the look; _thread_ended looks here after it set the state: one of them sees it.
        self.worker.is_resting = False
        return bool(self.mark[0] and self.sender.is_pending())

    def as_member(self) -> Member:
        """Return itself, as the process sees it."""
        return self

    def end_in_child(self) -> None:
        """End the copy of the thread, if it is a greenlet, in a process forked just now."""
        self.worker.end_in_child()

    def restart(self) -> None:
        """Start the thread again after a fork, if it is still wanted."""
        if self.mark[0]:
            self._wake_if_pending()

    def _thread_failed(self, *, is_wanted: bool = True) -> None:
        """Send here what waits; the next record tries again, later ones once a second at most."""
        self._retry_at = monotonic() + self._retry_wait
        self._retry_wait = min(2 * self._retry_wait or _FIRST_RETRY, _LONGEST_RETRY)
        self._go_inline("the flush thread cannot run", is_wanted=is_wanted)

    def _go_inline(self, why: str, *, is_wanted: bool = False) -> None:
        self.state = State.INLINE
        if not self.worker.is_leaving:
            text = f"{why}: logs are sent by the logging threads themselves, in batches"
            self._report.say("inline", text)
        self._host.after_request(self)
        self.worker.run_inline(is_wanted=is_wanted)

    def _hold(self) -> None:
        """Keep this process's entries for a descendant; it is decided anew at every entry."""
        if self.state is not State.HOLDING:
            self.state = State.HOLDING
            self._host.enlist_exit(self)
        self._on_hold()
        self.boot.hold()

    def adopt(self) -> None:
        """Stop holding, adopt, deliver: what a process that uWSGI forked does early."""
        if self.state is State.HOLDING:
            self._woken()
        elif self.state is State.INERT and self.boot.inheritance() is not None:
            self.adopted += self.boot.adopt()  # its entries wake us, if there are any

    def flush_request(self) -> None:
        """At the end of a request, where no thread runs: send what it has logged. Blocks."""
        if self.state is State.INLINE and self.mark[0]:
            self.worker.run_inline(is_wanted=True)

    def count_swallowed(self) -> None:
        """Count a record of forklog's own HTTP work, which is not delivered by design."""
        self.swallowed += 1

    def stop_when_idle(self) -> None:
        """Let the thread end once everything is delivered; for a handler that was collected."""
        self.worker.stops_when_idle = True
        self.worker.wakeup.set()

    def stats(self) -> Stats:
        """Return a snapshot. Blocks for memory work only; not for signal handlers."""
        counters = {"pid": self.pid, "adopted": self.adopted, "swallowed": self.swallowed}
        state = self.state.value
        in_flight, overflow = self.sender.in_flight, self.worker.overflow
        return self.sender.ledger.snapshot(
            self.buffer, in_flight, overflow, state=state, **counters
        )


def let_go(pipelines: Iterable[Pipeline]) -> None:
    """Run when a handler was collected: its thread, which keeps its pipeline, ends when idle."""
    for pipeline in list(pipelines):
        if pipeline.mark[0]:
            pipeline.stop_when_idle()
