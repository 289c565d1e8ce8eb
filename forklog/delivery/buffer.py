"""The buffer: takes entries from log calls, gives them in order to the sender.

One lane (a deque) for each severity. Appending to a deque is one step of the interpreter, so an
offer needs no lock and may interrupt another offer at any line; an overflow takes from the lane of
the least severe entries, oldest first, without searching. Entries begin with their insertId, which
grows, so comparing bytes merges the lanes back into the order of the log calls.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable
from itertools import accumulate, chain, count, repeat, starmap

from forklog.insert_id import number_of

RANKS = 9
NEVER = RANKS  # as a wake rank: no entry is urgent enough
_LAST = b"\xff"  # after every entry


class Tally:
    """Count without a lock; `itertools.count` steps atomically, in signal handlers too."""

    __slots__ = ("_count", "_reads", "tick")

    def __init__(self) -> None:
        """Start at zero."""
        self._count = count()
        self._reads = 0
        self.tick = self._count.__next__

    def value(self) -> int:
        """Return the number of ticks so far. One reader at a time."""
        value = self.tick() - self._reads
        self._reads += 1
        return value


class Buffer:
    """Hold entries, bounded by bytes. `offer` is for any thread; the rest for the sender.

    Args:
        max_bytes: bound of the wire bytes held, those that are being sent included. Threads in the
            middle of an offer can exceed it by one entry each.
        on_wake: called by `offer` when the sender has asked to be woken (see `arm`).
        on_full: called by `offer` before it sheds; may wait for room.
        on_shed: called with each entry that an overflow dropped, or None.
    """

    __slots__ = (
        "_append",
        "_aside",
        "_lanes",
        "_on_full",
        "_on_shed",
        "_shed_order",
        "alarm_bytes",
        "bytes",
        "max_bytes",
        "on_wake",
        "shed",
        "unencoded",
        "wake_rank",
    )

    def __init__(
        self,
        max_bytes: int,
        on_wake: Callable[[], object] = lambda: None,
        *,
        on_full: Callable[[], object] | None = None,
        on_shed: Callable[[bytes], object] | None = None,
    ) -> None:
        """Start empty, armed to wake at the first entry."""
        self._lanes: tuple[deque[bytes], ...] = tuple(deque() for _ in range(RANKS))
        self._append = tuple(lane.append for lane in self._lanes)
        self._aside: tuple[deque[bytes], ...] = tuple(deque() for _ in range(RANKS))
        self._shed_order = tuple(chain.from_iterable(zip(self._aside, self._lanes, strict=True)))
        self.on_wake = on_wake
        self._on_full = on_full
        self._on_shed = on_shed
        self.max_bytes = max_bytes
        self.bytes = 0
        self.shed = Tally()
        self.unencoded = 0
        """Records that became no entry: counted in one step, since nothing may be called there."""
        self.wake_rank = 0
        self.alarm_bytes = max_bytes

    def offer(self, rank: int, entry: bytes) -> None:
        """Append an entry of this severity rank (0-8); never blocks, takes no lock.

        Raises:
            RecursionError, MemoryError: it is not appended. Once it is, neither is raised: the next
                offer wakes the sender then.
        """
        size = len(entry)
        self._append[rank](entry)
        # Since CPython 3.10 threads switch at calls and loops only, so this line, which has none,
        # is one step. If a build ever breaks that, the last `release` sets the sum right.
        self.bytes += size
        try:
            if self.bytes > self.alarm_bytes:
                self._alarm()
            if rank >= self.wake_rank:
                self.on_wake()
        except (RecursionError, MemoryError):
            return

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
            alarm_bytes, self.alarm_bytes = self.alarm_bytes, self.max_bytes
            try:
                self.on_wake()
            except BaseException:
                self.alarm_bytes = alarm_bytes
                raise

    def _shed_one(self) -> bool:
        for lane in self._shed_order:
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

        Returns at least one entry if there is any, whatever its size. Entries that did not fit are
        out of their lanes for a moment: whoever looks for the oldest one has to be kept out.
        """
        runs = [(lane, _popped(lane, max_entries)) for lane in self._lanes if lane]
        entries = runs[0][1] if len(runs) == 1 else sorted(chain.from_iterable(r for _, r in runs))
        fitting = _fitting(entries, max_entries, max_bytes)
        if fitting < len(entries):
            limit = entries[fitting]
            for lane, run in runs:
                lane.extendleft(reversed(run[bisect_left(run, limit) :]))
            entries = entries[:fitting]
        return entries

    def release(self, size: int, *, is_last: bool = False) -> None:
        """Forget the bytes of entries that were taken and are settled now; none is out if last."""
        self.bytes -= size
        if is_last and self.bytes and not len(self) and not self.count_aside():
            self.bytes = 0

    def put_aside(self, rank: int, entry: bytes) -> None:
        """Keep an entry that was taken; it does not wait, but an overflow may drop it."""
        self._aside[rank].append(entry)

    def take_aside(self, rank: int = 0) -> list[bytes]:
        """Remove and return one entry that was put aside, of this rank or the next that has one."""
        for lane in self._aside[rank:] + self._aside[:rank]:
            with contextlib.suppress(IndexError):  # an overflow may empty it meanwhile
                return [lane.popleft()]
        return []

    def count_aside(self) -> int:
        """Return the number of entries that were put aside."""
        return sum(map(len, self._aside))

    def oldest_aside(self) -> bytes:
        """Return the oldest entry that was put aside, or bytes above every entry."""
        return min((entry for lane in self._aside for entry in list(lane)), default=_LAST)

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
        """Remove and return all entries, those put aside included, oldest first."""
        entries = self.take(2**62, 2**62)
        while aside := self.take_aside():
            insort(entries, aside[0])
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


def _popped(lane: deque[bytes], most: int) -> list[bytes]:
    """Remove and return the first entries of a lane in order, with no line of Python for each."""
    run: list[bytes] = []
    with contextlib.suppress(IndexError):  # an overflow emptied it meanwhile; `run` has the others
        run.extend(starmap(lane.popleft, repeat((), min(most, len(lane)))))
    run.sort()  # nearly so already: of two threads the later number may have come first
    return run


def _fitting(entries: list[bytes], max_entries: int, max_bytes: int) -> int:
    """Return how many of the entries go into a batch: at least one."""
    sizes = list(accumulate(map(len, entries[:max_entries])))
    return max(1, bisect_right(sizes, max_bytes))
