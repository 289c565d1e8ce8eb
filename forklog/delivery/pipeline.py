"""The pipeline of one process: built by the fork gate, fed by the handler, drives the rest.

Building it starts nothing. The first entry starts the flush thread. In a uWSGI process that will
fork its workers it makes the pipeline hold. A pipeline that holds has no thread and no socket; its
entries wait for a descendant that adopts them. Where no thread can run, the same passes run inline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forklog.delivery.adoption import HeldEntries
from forklog.delivery.base import Reporter, Spooler, Store
from forklog.delivery.buffer import Buffer
from forklog.delivery.free_threaded.buffer import UnlockedBuffer
from forklog.delivery.leaving import Leaving
from forklog.delivery.lifecycle import State
from forklog.delivery.passes import Notice
from forklog.delivery.sending.sender import Sender
from forklog.delivery.shutdown import Shutdown
from forklog.delivery.sinks.last_resort import LastResort
from forklog.delivery.starting import Starting
from forklog.delivery.worker import Worker
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host, Mark, home, new_mark, pid
from forklog.snapshot import Stats
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Envelope, Transport
from forklog.turn import HAS_GIL

NewSpooler = Callable[
    [Buffer, Callable[[], object], Reporter, Callable[[], str], Callable[[], bool]], Spooler
]
"""Makes a spool; for the arguments see `forklog.spool.spooler.ProcessSpool`."""


class Pipeline(Starting, Leaving, Shutdown):
    """Everything that belongs to one handler in one process.

    It may be built before its process exists: that starts nothing and asks nothing. It works once
    `begin` was called in its process. `offer` is safe from any thread, in signal handlers and
    finalizers; `flush` and `close` block and are for ordinary code. After a fork the child gets a
    new pipeline and leaves this one alone.

    Args:
        options: those of the handler.
        transport: opens connections.
        notice: makes the entry by which the log itself reports drops.
        host: the process.
        on_hold: called when this process turns out to be one that holds.
        on_start: called by each flush thread before its first pass.
        new_spooler: puts a spool before the buffer.
        following: returns the pipeline of this process after this one was closed.
        known_project: returns the project if it is known before a connection is.
    """

    def __init__(  # noqa: PLR0913 - what a handler gives
        self,
        options: Options,
        transport: Transport,
        notice: Notice,
        host: Host,
        *,
        on_hold: Callable[[], object] = lambda: None,
        on_start: Callable[[], object] = lambda: None,
        new_spooler: NewSpooler | None = None,
        following: Callable[[], Pipeline] | None = None,
        known_project: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Build; start nothing."""
        super().__init__()
        self._following, self._known_project = following, known_project
        self.mark, self.pid = new_mark(), -1
        self._home: Mark = self.mark
        self.successor: dict[str, object] = {}
        self.swallowed = 0
        self._options, self._host = options, host
        self._on_hold, self._on_start = on_hold, on_start
        self._report, self.insert_ids = StderrReporter(), InsertIds()
        self.buffer = (Buffer if HAS_GIL else UnlockedBuffer)(
            options.max_buffer_bytes,
            self._woken,
            on_full=self._before_overflow,
            on_overflow=(lambda e: self.worker.overflow.keep(e)) if options.on_drop else None,  # noqa: PLW0108
        )
        self.spooler = self._spooler_of(new_spooler)
        self.store: Store = self.spooler.store if self.spooler else self.buffer
        last_resort = LastResort(options.last_resort, self._report, self._envelope)
        self.sender = Sender(options, self.store, transport, self._report, last_resort=last_resort)
        self.sender.on_drop.watch_with(self._watch_offers)
        given = options, self.store, self.sender, self.insert_ids, self._report, notice, host
        self.worker = Worker(*given, self.spooler)
        self.offer = self.store.offer
        self.held = HeldEntries(self.buffer, None, host.handover, self.spooler)
        self._before: Pipeline | None = None
        self._sums: Stats | None = None

    def _envelope(self) -> Envelope:
        """Return what requests say of the entries, as far as it is known."""
        options, origin = self._options, self.sender.origin()
        resource = origin.resource if origin else options.resource
        project = origin.project if origin else options.project or self._known_project()
        return Envelope(options.log_name, options.labels, resource, project)

    def _spooler_of(self, new_spooler: NewSpooler | None) -> Spooler | None:
        parts = self.buffer, self._woken, self._report, self.insert_ids.prefix, self._may_spool
        return new_spooler(*parts) if new_spooler is not None else None

    def begin(self, inherited: Pipeline | None = None) -> None:
        """Belong to the calling process, from now on.

        Args:
            inherited: the pipeline before this one: of the process that forked this one, or closed
                in this process. Entries that it held are adopted; nothing else of it is touched.
        """
        self.pid, self._home = pid(), home()
        self.insert_ids.renew(inherited.insert_ids if inherited else None)
        self.opening = self.insert_ids.opening
        if inherited is not None:
            inheritance = inherited.held.inheritance()
            given = inheritance, self._host.handover, self.spooler
            self.held = HeldEntries(self.buffer, *given)
            if inherited.worker.orders.ends_when_idle:
                self.worker.end_when_idle()
            self._continue(inherited)
        if self._host.is_past_hooks():  # no hook of ours will run any more
            self.state = State.INLINE
            self.worker.drain()
        self.mark[0] = 1  # wiped, if it was built before the fork

    def _continue(self, before: Pipeline) -> None:
        """Keep the sums of a pipeline that was closed, or is being closed, in this very process."""
        if before._home[0]:
            self._know_lost_of(before)
            self._before = before
            self._show_with(before)
            before._forget_before()

    def _forget_before(self) -> None:
        if (before := self._before) is None:
            return
        if before._is_forgettable():  # noqa: SLF001 - our own
            self._sums, self._before = before.read(), None

    def _is_forgettable(self) -> bool:
        self._forget_before()
        is_over = self.state is State.CLOSED and not self.buffer.has_waiting()
        return is_over and self._before is None

    def _watch_offers(self, wrap: Callable[[Callable[..., object]], Any] | None) -> None:
        """Have another function take the entries, or, without one, the buffer again."""
        self.offer = wrap(self.store.offer) if wrap else self.store.offer

    def _before_overflow(self) -> None:
        """Hold, and copy, what an overflow may drop next; or wait for a thread that makes room.

        Where this process holds there is no such thread, and no wait.
        """
        if self.state is State.HOLDING or self._options.block_timeout:
            self._woken()
            if self.state is not State.HOLDING:
                self.worker.await_room(self.buffer)

    def _may_spool(self) -> bool:
        """Tell whether this process spools: one that holds leaves its entries to descendants.

        One that holds no more takes back first what it has held, and its spool has it then.
        """
        if not self.mark[0] or self.held.is_holding():
            return False
        return self.worker.orders.is_draining or not self._host.is_loader()

    def pause(self) -> None:
        """Have the thread end between two passes, before a fork. Never blocks."""
        if self.mark[0]:
            self.worker.pause()

    def before_fork(self, since: float | None = None) -> None:
        """Have the thread end, so that the process forks with one thread less."""
        if self.mark[0]:
            self.worker.await_paused(since)

    def after_fork_in_parent(self) -> bool:
        """Let the thread run again; return whether it is wanted at once (see `restart`)."""
        # Before the look; _thread_ended looks here after it set the state: one of them sees it.
        self.worker.resume()
        return bool(self.mark[0] and self.sender.is_pending())

    def end_in_child(self) -> None:
        """End the copy of the thread, if it is a greenlet, in a process forked just now."""
        self.worker.end_in_child()

    def restart(self) -> None:
        """Start the thread again after a fork, if it is still wanted."""
        if self.mark[0] and self.state is State.INERT:
            self._look()

    def hurry(self) -> None:
        """Have the thread send now what was logged so far. Never blocks."""
        if self.mark[0] and self.state is State.RUNNING:
            self.worker.send_until(self.insert_ids.key())

    def flush_request(self) -> None:
        """At the end of a request, where no thread runs: send what it has logged. Blocks."""
        if self.state is State.INLINE and self.mark[0]:
            self.worker.run_inline(is_wanted=True)

    def count_swallowed(self) -> None:
        """Count a record of forklog's own HTTP work, which is not delivered by design."""
        self.swallowed += 1

    def stats(self) -> Stats:
        """Return a snapshot. Blocks for memory work only; not for signal handlers."""
        return self.shown.of(self.read)

    def read(self) -> Stats:
        """Return the sums of this pipeline and of those before it, one after another."""
        own = self.sender.ledger.snapshot(
            self.store,
            pid=self.pid,
            state=self.state.value,
            adopted=self.held.adopted,
            swallowed=self.swallowed,
            request_gap=self.sender.pacing.gap(),
            **(self.spooler.numbers() if self.spooler is not None else {}),
        )
        return own.plus(self._before.read() if self._before is not None else self._sums)
