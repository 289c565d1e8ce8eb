"""The buffer: takes entries from log calls, gives them in order to the sender.

One lane (a deque) for each severity. Appending to a deque is one step of the interpreter, so an
offer needs no lock and may interrupt another offer at any line. An overflow takes from the lane of
the least severe entries, oldest first, without searching. Entries begin with their insertId, which
grows, so comparing bytes merges the lanes back into the order of the log calls.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, count, starmap

from forklog.delivery.sending.lanes import behind, copied, first, fitting, move, move_last, oldest
from forklog.insert_id import AFTER_ALL
from forklog.severity import NEVER, RANKS

_ONCE = ((),)  # for `starmap`: one call, without arguments
_FIRST = ((0,),)  # ...with the index of the first


class Buffer:
    """Hold entries, bounded by bytes. `offer`, `arm` and what only tells something: any thread.

    A `Store`. What moves entries is for the sender, but `adopt` is for `HeldEntries`, and `forget`
    for it and the spool. An entry changes its place in one call of C, where no signal handler runs.
    An exception finds it in a lane or in the list of the caller, never in neither.

    Args:
        max_bytes: bound of the wire bytes held, those that are being sent included. Threads in the
            middle of an offer can exceed it by one entry each.
        on_wake: called by `offer` where `arm` has asked for it. Where it raises, the next offer
            calls it again.
        on_full: called by `offer` before an overflow drops entries; may wake, and wait for room.
        on_overflow: called with each entry that an overflow dropped, or None.
    """

    __slots__ = (
        "_append",
        "_aside",
        "_drop_order",
        "_lanes",
        "_on_full",
        "_on_overflow",
        "_overflowed",
        "alarm_bytes",
        "bytes",
        "max_bytes",
        "on_wake",
        "unencoded",
        "wake_rank",
    )

    def __init__(
        self,
        max_bytes: int,
        on_wake: Callable[[], object] = lambda: None,
        *,
        on_full: Callable[[], object] | None = None,
        on_overflow: Callable[[bytes], object] | None = None,
    ) -> None:
        """Start empty, armed to wake at the first entry."""
        self._lanes: tuple[deque[bytes], ...] = tuple(deque() for _ in range(RANKS))
        self._append = tuple(lane.append for lane in self._lanes)
        self._aside: tuple[deque[bytes], ...] = tuple(deque() for _ in range(RANKS))
        self._drop_order = tuple(chain.from_iterable(zip(self._aside, self._lanes, strict=True)))
        self.on_wake = on_wake
        self._on_full = on_full
        self._on_overflow = on_overflow
        self.max_bytes = max_bytes
        self.bytes = 0
        self._overflowed = count()
        self.unencoded = 0
        """Records that became no entry: counted in one step, since nothing may be called there."""
        self.wake_rank = 0
        self.alarm_bytes = max_bytes

    def offer(self, rank: int, entry: bytes) -> None:
        """Append an entry of this severity rank (0-8); takes no lock.

        Waits for nothing itself; `on_full` may wait for room, and `on_wake` for an answer, where no
        thread can run.

        Raises:
            RecursionError, MemoryError: it is not appended. Once it is, neither is raised: the next
                offer wakes the worker then.
        """
        size = len(entry)
        self._append[rank](entry)
        # Since CPython 3.10 threads switch at calls and loops only, so this line, which has none,
        # is one step. Where it is not, `free_threaded` has another buffer.
        self.bytes += size
        try:
            if self.bytes > self.alarm_bytes:
                self._alarm()
            if rank >= self.wake_rank:
                self.wake_rank = NEVER  # until the worker arms it again
                self.on_wake()
        except (RecursionError, MemoryError):
            self.wake_rank = 0
        except BaseException:
            self.wake_rank = 0  # no call, where the next exception could come
            raise

    def arm(self, wake_rank: int, alarm_bytes: int | None = None) -> None:
        """Ask for a wake-up at an entry of this rank, or beyond this many bytes."""
        # What was set aside is no part of the next batch.
        alarm_bytes = self.max_bytes if alarm_bytes is None else alarm_bytes + self.aside_bytes()
        self.alarm_bytes = min(self.max_bytes, alarm_bytes)
        self.wake_rank = wake_rank

    def _alarm(self) -> None:
        if self.bytes > self.max_bytes:
            if self._on_full is not None:
                self._on_full()
            while self.bytes > self.max_bytes and self._drop_one():
                pass
        else:
            alarm_bytes, self.alarm_bytes = self.alarm_bytes, self.max_bytes
            try:
                self.on_wake()
            except BaseException:
                self.alarm_bytes = alarm_bytes
                raise

    def _drop_one(self, lanes: Iterable[deque[bytes]] = ()) -> bool:
        for lane in lanes or self._drop_order:
            try:
                entry, _ = next(zip(starmap(lane.popleft, _ONCE), self._overflowed, strict=False))
            except IndexError:
                continue
            self.count_taken(-len(entry))
            if self._on_overflow is not None:
                self._on_overflow(entry)
            return True
        return False

    def count_overflowed(self) -> int:
        """Return the number of entries that overflows have dropped so far."""
        return int(repr(self._overflowed)[len("count(") : -1])  # nothing else tells without a step

    def __len__(self) -> int:
        """Return the number of entries that wait."""
        return sum(map(len, self._lanes))

    def has_waiting(self) -> bool:
        """Tell whether an entry waits."""
        return any(self._lanes)

    def count_taken(self, size: int) -> None:
        """Count bytes that were taken from elsewhere, until `settle`."""
        self.bytes += size

    def keep(self, entries: list[bytes]) -> None:
        """Keep none: the buffer is memory."""

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move the oldest entries to the end of a list; their bytes count until `settle`.

        Moves at least one entry if there is any, whatever its size. An overflow meanwhile may have
        newer ones moved, and so a few more bytes.
        """
        runs = [first(lane, max_entries) for lane in self._lanes]
        entries = sorted(chain.from_iterable(runs))
        number = fitting(entries, max_entries, max_bytes)
        limit = entries[number] if number < len(entries) else AFTER_ALL
        for lane, run in zip(self._lanes, runs, strict=True):
            if run:
                move(lane, into, bisect_left(run, limit))
        into.sort()

    def take_newest(self, into: list[bytes]) -> None:
        """Move the newest entry to the end of a list."""
        move_last(self._lanes, into)

    def settle(self, size: int, *, is_last: bool = False) -> None:
        """Forget the bytes of settled entries; `is_last`: no taken entry remains unsettled."""
        self.count_taken(-size)
        if is_last and self.bytes and not len(self) and not self.count_aside():
            self.count_taken(-self.bytes)

    def put_aside(self, rank: int, entries: list[bytes]) -> None:
        """Set aside the first of some entries that were taken: only an overflow finds it here.

        Beyond a quarter of the buffer, the least severe that were set aside are dropped.
        """
        self._aside[rank].extend(starmap(entries.pop, _FIRST))
        while self.aside_bytes() > self.max_bytes // 4 and self.count_aside() > 1:
            if not self._drop_one(self._aside):
                return

    def aside_bytes(self) -> int:
        """Return the wire bytes of the entries that were set aside."""
        return sum(len(entry) for lane in self._aside for entry in copied(lane))

    def take_aside(self, into: list[bytes], rank: int = 0) -> None:
        """Move one entry that was set aside to a list, of this rank or the next that has one."""
        number = len(into)
        for lane in self._aside[rank:] + self._aside[:rank]:
            move(lane, into, 1)
            if len(into) > number:
                return

    def count_aside(self) -> int:
        """Return the number of entries that were set aside."""
        return sum(map(len, self._aside))

    def oldest_aside(self) -> bytes:
        """Return the oldest entry that was set aside, or bytes above every entry."""
        return min((entry for lane in self._aside for entry in copied(lane)), default=AFTER_ALL)

    def is_urgent(self, rank: int) -> bool:
        """Tell whether an entry of this rank or a higher one waits."""
        return any(self._lanes[rank:])

    def unseen(self, seen: list[bytes]) -> list[list[bytes]]:
        """Return, by rank, copies of what was offered after these, the last one seen of each."""
        return [behind(lane, last) for lane, last in zip(self._lanes, seen, strict=True)]

    def oldest(self) -> bytes:
        """Return the oldest entry that waits, or something above every entry if none does."""
        return oldest(self._lanes, AFTER_ALL)

    def drain(self, into: list[bytes]) -> None:
        """Move all entries to a list, oldest first, those set aside included, as `take` does."""
        for lane in (*self._aside, *self._lanes):
            move(lane, into, len(lane))
        into.sort()

    def adopt(self, rank: int, entries: deque[bytes]) -> None:
        """Take over entries of this rank from another process's buffer; no wake-up."""
        size = sum(map(len, entries))
        move(entries, self._lanes[rank], len(entries))
        self.count_taken(size)

    def forget(self, rank: int, entry: bytes) -> bool:
        """Remove an entry that is held elsewhere now; tell whether it was there."""
        with contextlib.suppress(ValueError):
            self._lanes[rank].remove(entry)
            self.count_taken(-len(entry))
            return True
        return False

    def snapshot(self, *, is_aside: bool = False) -> list[tuple[int, bytes]]:
        """Return copies of all (rank, entry) that wait, or that were set aside; remove none."""
        lanes = self._aside if is_aside else self._lanes
        return [(rank, entry) for rank, lane in enumerate(lanes) for entry in copied(lane)]
