"""What a pipeline does with its rest: after a close, or once its handler was collected.

What was logged meanwhile goes to the pipeline after it. The files of its spool are removed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from forklog.delivery.base import Spooler
from forklog.delivery.buffer import Buffer
from forklog.delivery.lifecycle import Staged
from forklog.drops import CLOSED
from forklog.process.base import Host, Mark
from forklog.snapshot import Stats
from forklog.turn import TurnLock

if TYPE_CHECKING:
    from forklog.delivery.sending.sender import Sender
    from forklog.delivery.worker import Worker


class Shown:
    """What `stats()` shows of a handler in one process, over its pipelines one after another.

    An entry that is handed on is in none of two pipelines for a moment, and in neither snapshot. It
    counts as pending then, because ``accepted`` never falls.
    """

    __slots__ = ("_accepted", "_lock", "_moving")

    def __init__(self) -> None:
        """Have shown nothing."""
        self._lock = TurnLock()
        self._accepted = self._moving = 0

    def move(self, change: int) -> None:
        """Count the entries that are being handed on: 1 before each, -1 after it."""
        self._lock.run(self._move, change)

    def _move(self, change: int) -> None:
        self._moving += change

    def of(self, read: Callable[[], Stats]) -> Stats:
        """Return a snapshot of all pipelines. No entry begins to be handed on while it is read."""
        return self._lock.run(self._of, read)

    def _of(self, read: Callable[[], Stats]) -> Stats:
        found = read()
        lacking = min(self._accepted - found.accepted, self._moving)
        if lacking > 0:
            accepted, pending = found.accepted + lacking, found.pending + lacking
            found = replace(found, accepted=accepted, pending=pending)
        self._accepted = max(self._accepted, found.accepted)
        return found


class Leaving(Staged):
    """What `Pipeline` inherits; it has the attributes."""

    mark: Mark
    _home: Mark
    buffer: Buffer
    spooler: Spooler | None
    sender: Sender
    worker: Worker
    _host: Host

    _following: Callable[[], Leaving] | None
    offer: Callable[[int, bytes], object]

    def __init__(self) -> None:
        """Stay."""
        super().__init__()
        self._is_let_go = False  # the handler was collected
        self.shown = Shown()

    def _show_with(self, before: Leaving) -> None:
        """Share with the pipeline before this one what `stats()` has shown."""
        self.shown = before.shown

    def _settle_late(self) -> None:
        """Give what was logged while the handler was closed to the pipeline after this one.

        A log call that makes the files of the spool may take longer than the close. What nothing
        follows goes to the last resort, as does what a request could not deliver.
        """
        self.mark[0] = 0  # another close, which was interrupted, may have set it just now
        waiting = self.buffer.snapshot()
        # A notice of drops is no reason to begin a pipeline.
        late = [item for item in waiting if item[1] not in self.worker.notices]
        following = None if self._host.is_ending() else self._following
        after = following() if following is not None and late else self
        for rank, entry in late if after is not self else ():
            with self._host.without_signals():
                self._hand_on(rank, entry, after)
        is_left = following is None or len(waiting) > (0 if after is self else len(late))
        if is_left or self.sender.has_in_flight() or self.buffer.count_aside():
            self.sender.give_up(CLOSED)

    def _hand_on(self, rank: int, entry: bytes, after: Leaving) -> None:
        self.shown.move(1)
        try:
            if self.buffer.forget(rank, entry):  # else another thread has handed it on
                self._offer_to(after, rank, entry)
        finally:
            if self._home[0]:  # else a callback has forked, and this is the child
                self.shown.move(-1)

    def _offer_to(self, after: Leaving, rank: int, entry: bytes) -> None:
        try:
            after.offer(rank, entry)
        except BaseException:
            self.buffer.adopt(rank, deque((entry,)))
            raise

    def stop_when_idle(self) -> None:
        """Let the thread end once everything is delivered."""
        self.worker.end_when_idle()

    def let_go(self) -> None:
        """End, and leave the spool, once everything is delivered; the handler was collected.

        Never blocks. The flush thread does it. Where none runs, this is collected, too.
        """
        self._is_let_go = True
        self.stop_when_idle()

    def _thread_is_idle(self) -> None:
        """Close what no record will need, in the flush thread, which has nothing to do.

        An exit or a close that is under way does it itself, and adopts what dead processes left.
        """
        is_over = self._is_let_go and not self.worker.orders.is_draining
        if is_over and not self.sender.is_pending():
            self._leave_wire()

    def _leave_wire(self) -> None:
        if self.spooler is not None:
            self.spooler.leave()
        self.sender.close()


def let_go(pipelines: Iterable[Leaving]) -> None:
    """Run when a handler was collected: its thread, which keeps its pipeline, ends when idle."""
    for pipeline in list(pipelines):
        if pipeline.mark[0]:
            pipeline.let_go()
