"""The spool as a store: in front of the buffer, whose lanes take what the spool cannot.

`offer` writes an entry into the active segment by one call of C. The flush thread takes from the
segments, and from the lanes after them. What was taken is in memory and counts there.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Collection

from forklog.insert_id import PREFIX_BYTES
from forklog.process.base import home, keep_in_children, register_at_fork
from forklog.severity import NEVER
from forklog.spool.folder import FullError
from forklog.spool.owner import Owner
from forklog.spool.parts.lanes import Lanes
from forklog.spool.parts.taking import NO_ALARM, Taking, closed
from forklog.spool.segments import Segments


class Spool(Taking):
    """Hold entries in segments, the rest in lanes. `offer` is for any thread.

    Args:
        lanes: the buffer of this pipeline.
        urgent_rank: entries of this rank are urgent.
        max_bytes: bound of the segments' sizes.
        on_wake: called by `offer` when the flush thread has asked for it.
        open_here: called by the first offers; opens the spool, and tells whether that was done.
    """

    def __init__(
        self,
        lanes: Lanes,
        urgent_rank: int,
        max_bytes: int,
        on_wake: Callable[[], object],
        open_here: Callable[[], bool],
    ) -> None:
        """Be closed."""
        self._open_here = open_here
        super().__init__(lanes)
        self._urgent_rank, self._max_bytes = urgent_rank, max_bytes
        self._on_wake = on_wake
        self._maps: list[object] = []
        self.unspooled = 0
        """Entries that the lanes took, from the first try to open the spool on."""
        self._is_awaited = False
        self._counted: bytes | None = None  # what the entries that were counted begin with
        _all.add(self)
        keep_in_children(self, self._maps)

    def open(self, owner: Owner) -> None:
        """Have entries spooled from now on.

        Raises:
            FullError: entries are spooled once there is room; the lanes take them until then.
            OSError: the first segment cannot be made; the owner's head is removed.
        """
        segments = Segments(owner, self._max_bytes, self._maps)
        try:
            first = segments.new(is_first=True)
        except FullError:
            self._begin(segments)
            self._mark[0], self._is_awaited = 1, False
            raise
        except OSError:
            owner.remove()
            raise
        segments.activate(first)
        # In this order: what is written from now on, by a signal handler too, is read.
        self._begin(segments)
        self._mark[0], self._is_awaited = 1, False
        self._write = first.write

    def expect(self, *, is_awaited: bool) -> None:
        """Count what the lanes take while the spool is opened, or waits for what is lacking."""
        self._is_awaited = is_awaited

    def take_in(self, new: Collection[bytes] = ()) -> None:
        """Move what waits in the lanes into the segments; before the flush thread takes any.

        An exception of a signal handler leaves an entry in one place or in both.

        Args:
            new: entries that count as unspooled where there is no room for them.
        """
        if not self.is_open or not self._lanes.has_waiting():
            return
        for rank, entry in self._lanes.snapshot():
            if self._append(entry):
                is_counted = self._counted is not None and entry.startswith(self._counted)
                if self._lanes.forget(rank, entry) and is_counted:
                    self.unspooled -= 1
                if rank >= self._urgent_rank:
                    self._has_urgent = True
            elif entry in new:
                self.unspooled += 1

    @property
    def is_open(self) -> bool:
        """Tell whether entries are spooled, in this very process."""
        return bool(self._mark[0])

    def offer(self, rank: int, entry: bytes) -> None:
        """Write an entry of this severity rank; no system call where the flush thread keeps up.

        The first one of a process makes the files, and others wait for that meanwhile.

        Raises:
            RecursionError, MemoryError: it is not written. Once it is, neither is raised.
        """
        try:
            self._write(entry + b"\n")
        except ValueError:
            is_first = not self._mark[0]
            if not self._roll(entry) and not (is_first and self._open_here() and self._roll(entry)):
                self._count_unspooled(entry)
                self._lanes.offer(rank, entry)
                return
        size = len(entry)
        self.spooled_bytes += size  # no call in between: no other thread's addition is lost
        if rank >= self._urgent_rank:
            self._has_urgent = True
        try:
            if self.spooled_bytes > self._alarm_bytes:
                self._alarm_bytes = NO_ALARM
                self._on_wake()
            if rank >= self._wake_rank:
                self._wake_rank = NEVER
                self._on_wake()
        except (RecursionError, MemoryError):
            self._wake_rank = 0
        except BaseException:
            self._wake_rank = 0
            raise

    def _count_unspooled(self, entry: bytes) -> None:
        """Count an entry that the lanes take; what is taken in later counts no more.

        What is in flight by then stays counted: a kill loses it.
        """
        if self._mark[0] or self._is_awaited:
            self._counted = entry[:PREFIX_BYTES]
            self.unspooled += 1

    def _append(self, entry: bytes) -> bool:
        try:
            self._write(entry + b"\n")
        except ValueError:
            if not self._roll(entry):
                return False
        size = len(entry)
        self.spooled_bytes += size
        return True

    def _roll(self, entry: bytes) -> bool:
        """Write to a further segment; tell whether there is one to be had."""
        segments, here = self._segments, home()
        if not self._mark[0] or segments is None:
            return False
        with contextlib.suppress(ValueError):  # opened, or rolled, by another thread meanwhile
            self._write(entry + b"\n")
            return True
        while here[0] and (segment := segments.next(len(entry))):
            segments.activate(segment)
            if not here[0]:  # forked in between: the segment is the parent's
                segment.close()
                return False
            # Sealed already where another thread rolled meanwhile and the flush thread came by.
            with contextlib.suppress(ValueError):
                segment.write(entry + b"\n")
                self._write = segment.write
                if self._mark[0]:
                    return True
                self._write = closed
                return bool(here[0]) and segments.is_left(segment)
        return False

    def put_aside(self, rank: int, entries: list[bytes]) -> None:
        """Put the first entry of a list aside, in memory; a segment has a copy of it."""
        if self.is_open and self._segments is not None:
            try:
                self._segments.put_aside(entries[0])
            except OSError:
                self.unspooled += 1
        super().put_aside(rank, entries)

    def keep(self, entries: list[bytes]) -> None:
        """Remove from a list of entries what the segments hold, or now take in from the lanes.

        Add what stands in segments whose files are gone: no other process finds it.
        """
        segments = self._segments
        if segments is None:
            return
        is_gone = not self.is_found() and not segments.owner.is_intact()
        size = segments.take_lost(entries, is_all=is_gone)
        self.spooled_bytes -= size
        self._lanes.count_taken(size)
        if is_gone or segments.aside.has_lost():
            segments.drop_aside()
        if is_gone or not entries:
            return
        size = segments.give_back(set(entries))
        self.spooled_bytes += size
        held = set(segments.all())
        left, copied = [], []
        for entry in entries:
            if entry in held or self._append(entry):
                self._lanes.settle(len(entry))
            elif segments.aside.has(entry):
                copied.append(entry)
            else:
                left.append(entry)
        size = segments.read_aside(copied)
        self.spooled_bytes += size
        self._lanes.settle(size)
        entries[:] = left


_all: weakref.WeakSet[Spool] = weakref.WeakSet()


def _seal_all() -> None:
    try:
        for spool in list(_all):
            with contextlib.suppress(Exception):
                spool.seal_in_child()
    except RecursionError:
        return  # the first record of the child finds that the spool is not its own


register_at_fork(after_in_child=_seal_all)
