"""Step 4, the buffer: takes entries from log calls, gives them in order to the flusher.

One lane (a deque) for each severity. Appending to a deque is one step of the interpreter, so an
offer needs no lock and may interrupt another offer at any line; an overflow takes from the lane of
the least severe entries, oldest first, without searching. Entries begin with their insertId, which
grows, so comparing bytes merges the lanes back into the order of the log calls.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from forklog.insert_id import number_of

__all__ = ["NEVER", "Buffer", "Tally"]

RANKS = 9
NEVER = RANKS  # as a wake rank: no entry is urgent enough
_LAST = b"\xff"  # after every entry


class Tally:
    """Count without a lock; `itertools.count` steps atomically, in signal handlers too."""

    __slots__ = ("_count", "_reads", "tick")

    def __init__(self) -> None:
        """Start at zero."""
        self._count = itertools.count()
        self._reads = 0
        self.tick = self._count.__next__

    def value(self) -> int:
        """Return the number of ticks so far. One reader at a time."""
        value = self.tick() - self._reads
        self._reads += 1
        return value


class Buffer:
    """Hold entries, bounded by bytes. `offer` is for any thread; the rest for the flusher.

    Args:
        max_bytes: bound of the wire bytes held, those that are being sent included. Threads in the
            middle of an offer can exceed it by one entry each.
        on_wake: called by `offer` when the flusher has asked to be woken (see `arm`).
        on_full: called by `offer` before it sheds; may wait for room.
        on_shed: called with each entry that an overflow dropped, or None.
    """

    __slots__ = (
        "_append",
        "_lanes",
        "_on_full",
        "_on_shed",
        "_on_wake",
        "alarm_bytes",
        "bytes",
        "max_bytes",
        "shed",
        "wake_rank",
    )

    def __init__(
        self,
        max_bytes: int,
        on_wake: Callable[[], object],
        *,
        on_full: Callable[[], object] | None = None,
        on_shed: Callable[[bytes], object] | None = None,
    ) -> None:
        """Start empty, armed to wake at the first entry."""
        self._lanes: tuple[deque[bytes], ...] = tuple(deque() for _ in range(RANKS))
        self._append = tuple(lane.append for lane in self._lanes)
        self._on_wake = on_wake
        self._on_full = on_full
        self._on_shed = on_shed
        self.max_bytes = max_bytes
        self.bytes = 0
        self.shed = Tally()
        self.wake_rank = 0
        self.alarm_bytes = max_bytes

    def offer(self, rank: int, entry: bytes) -> None:
        """Append an entry of this severity rank (0-8); never blocks, takes no lock."""
        self._append[rank](entry)
        # Since CPython 3.10 threads switch at calls and loops only, so this line is one step. If a
        # build ever breaks that, `take` of the last entry sets the sum right again.
        self.bytes += len(entry)
        if self.bytes > self.alarm_bytes:
            self._alarm()
        if rank >= self.wake_rank:
            self._on_wake()

    def arm(self, wake_rank: int, alarm_bytes: int | None = None) -> None:
        """Ask for a wake-up at an entry of this rank, or beyond this many bytes."""
        self.alarm_bytes = self.max_bytes if alarm_bytes is None else alarm_bytes
        self.wake_rank = wake_rank

    def _alarm(self) -> None:
        if self.bytes > self.max_bytes:
            if self._on_full is not None:
                self._on_full()
            while self.bytes > self.max_bytes and self._shed_one():
                pass
        else:
            self.alarm_bytes = self.max_bytes
            self._on_wake()

    def _shed_one(self) -> bool:
        for lane in self._lanes:
            try:
                entry = lane.popleft()
            except IndexError:
                continue
            size = len(entry)
            self.bytes -= size
            self.shed.tick()
            if self._on_shed is not None:
                self._on_shed(entry)
            return True
        return False

    def __len__(self) -> int:
        """Return the number of entries that wait."""
        return sum(map(len, self._lanes))

    def take(self, max_entries: int, max_bytes: int) -> list[bytes]:
        """Remove and return the oldest entries; their bytes count until `release`.

        Returns at least one entry if there is any, whatever its size.
        """
        entries: list[bytes] = []
        room = max_bytes
        while len(entries) < max_entries:
            lane, limit = self._oldest_lane()
            if lane is None:
                break
            room = self._take_run(lane, limit, entries, max_entries, room)
            if room <= 0:
                break
        return entries

    def _oldest_lane(self) -> tuple[deque[bytes] | None, bytes]:
        """Find the lane whose head is oldest, and the head of the next oldest."""
        oldest, first, second = None, _LAST, _LAST
        for lane in self._lanes:
            try:
                head = lane[0]
            except IndexError:
                continue
            if head < first:
                oldest, first, second = lane, head, first
            elif head < second:
                second = head
        return oldest, second

    @staticmethod
    def _take_run(
        lane: deque[bytes], limit: bytes, entries: list[bytes], max_entries: int, room: int
    ) -> int:
        """Move entries older than ``limit``; return the bytes of room left, 0 if it is used up."""
        pop, add = lane.popleft, entries.append
        wanted = max_entries - len(entries)
        try:
            while wanted and (entry := pop()) < limit:
                room -= len(entry)
                if room < 0 and entries:
                    lane.appendleft(entry)
                    return 0
                add(entry)
                wanted -= 1
            if wanted:
                lane.appendleft(entry)
        except IndexError:  # ran empty
            pass
        return room

    def release(self, size: int, *, is_last: bool = False) -> None:
        """Forget the bytes of entries that were taken and are settled now; none is out if last."""
        self.bytes -= size
        if is_last and self.bytes and not len(self):
            self.bytes = 0

    def is_urgent(self, rank: int) -> bool:
        """Tell whether an entry of this rank or a higher one waits."""
        return any(self._lanes[rank:])

    def newest_number(self) -> int:
        """Return the highest sequence number that waits, -1 if none does."""
        return max((number_of(lane[-1]) for lane in self._lanes if lane), default=-1)

    def oldest(self) -> bytes:
        """Return the oldest entry that waits, or something above every entry if none does."""
        heads = []
        for lane in self._lanes:
            try:
                heads.append(lane[0])
            except IndexError:  # noqa: PERF203 - emptied by another thread meanwhile
                continue
        return min(heads, default=_LAST)

    def drain(self) -> list[bytes]:
        """Remove and return all entries, oldest first."""
        entries = self.take(2**62, 2**62)
        self.release(sum(map(len, entries)))
        return entries

    def clear(self) -> list[tuple[int, bytes]]:
        """Remove and return all (rank, entry)."""
        entries = self.snapshot()
        for lane in self._lanes:
            lane.clear()
        self.release(sum(len(entry) for _, entry in entries))
        return entries

    def snapshot(self) -> list[tuple[int, bytes]]:
        """Return copies of all (rank, entry), without removing any."""
        return [(rank, entry) for rank, lane in enumerate(self._lanes) for entry in list(lane)]
