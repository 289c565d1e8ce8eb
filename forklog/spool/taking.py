"""The half of a spool that the flush thread uses: takes from the segments, then from the lanes.

The lanes are the buffer behind the spool; what was set aside and what overflows is theirs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from forklog.delivery.base import Store
from forklog.process.base import new_mark
from forklog.spool.format import prefix_of_segment

if TYPE_CHECKING:
    from forklog.spool.owner import Owner
    from forklog.spool.segments import Segments

NO_ALARM = sys.maxsize  # no float: each log call compares with it


def closed(_entry: bytes) -> int:
    """Stand in for the `write` of a segment where there is none."""
    raise ValueError("no segment")


class Lanes(Store, Protocol):
    """The buffer: a store that counts what was taken from elsewhere."""

    def count_taken(self, size: int) -> None:
        """Count bytes that were taken from elsewhere, until `settle`."""

    def snapshot(self) -> list[tuple[int, bytes]]:
        """Return copies of all (rank, entry) that wait, without removing any."""

    def forget(self, rank: int, entry: bytes) -> None:
        """Remove an entry that is held elsewhere now."""


class OverLanes:
    """The half of a spool that is the lanes': what was set aside, what overflows, their bounds."""

    def __init__(self, lanes: Lanes) -> None:
        """Stand before the buffer."""
        self._lanes = lanes
        self.spooled_bytes = 0
        """Wire bytes of the entries that stand in segments and were not taken."""

    def put_aside(self, rank: int, entries: list[bytes]) -> None:
        """Put the first entry of a list aside, in memory."""
        self._lanes.put_aside(rank, entries)

    def take_aside(self, into: list[bytes], rank: int = 0) -> None:
        """Move one entry that was set aside to a list."""
        self._lanes.take_aside(into, rank)

    def count_aside(self) -> int:
        """Return the number of entries that were set aside."""
        return self._lanes.count_aside()

    def aside_bytes(self) -> int:
        """Return the wire bytes of the entries that were set aside."""
        return self._lanes.aside_bytes()

    def oldest_aside(self) -> bytes:
        """Return the oldest entry that was set aside."""
        return self._lanes.oldest_aside()

    def count_overflowed(self) -> int:
        """Return the number of entries that overflows have dropped so far."""
        return self._lanes.count_overflowed()

    @property
    def max_bytes(self) -> int:
        """Return the bound of what is in memory."""
        return self._lanes.max_bytes

    @property
    def unencoded(self) -> int:
        """Return the number of records that became no entry."""
        return self._lanes.unencoded

    @property
    def bytes(self) -> int:
        """Return the wire bytes that wait, or were taken and are not settled."""
        return self._lanes.bytes + self.spooled_bytes


class Taking(OverLanes):
    """What `Spool` inherits. For whoever runs passes, one at a time."""

    def __init__(self, lanes: Lanes) -> None:
        """Be closed: there are no segments."""
        super().__init__(lanes)
        self._mark = new_mark()
        self._mark[0] = 0
        self._write: Callable[[bytes], int] = closed
        self._segments: Segments | None = None
        self._has_urgent = False
        self._alarm_bytes = NO_ALARM
        self._wake_rank = 0

    @property
    def inline_segments(self) -> int:
        """Return how many segments a log call had to make."""
        return self._segments.made_inline if self._segments else 0

    def arm(self, wake_rank: int, alarm_bytes: int | None = None) -> None:
        """Ask for a wake-up at an entry of this rank, or beyond this many bytes."""
        self._lanes.arm(wake_rank, alarm_bytes)
        self._alarm_bytes = NO_ALARM if alarm_bytes is None else alarm_bytes
        self._wake_rank = wake_rank

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move the oldest entries to the end of a list; those of the segments first."""
        self._has_urgent = False  # before the look: what comes meanwhile sets it again
        most = len(into) + max_entries
        if self._segments is not None:
            size = self._segments.read(into, most, max_bytes)
            self.spooled_bytes -= size
            self._lanes.count_taken(size)
            max_bytes -= size
        if len(into) < most and max_bytes > 0 and len(self._lanes):
            self._lanes.take(into, most - len(into), max_bytes)

    def take_newest(self, into: list[bytes]) -> None:
        """Move the newest entry of the lanes, else that of the segments, to the end of a list."""
        number = len(into)
        self._lanes.take_newest(into)
        if len(into) == number and self._segments is not None:
            size = self._segments.take_newest(into)
            self.spooled_bytes -= size
            self._lanes.count_taken(size)

    def settle(self, size: int, *, is_last: bool = False) -> None:
        """Forget entries that were taken and are settled; if last, the segments as well."""
        self._lanes.settle(size, is_last=is_last)
        if is_last and self._segments is not None:
            self._segments.settle()
            if self._segments.aside.segments and not self._lanes.count_aside():
                self._segments.drop_aside()
            left = self.spooled_bytes  # before the look: what is offered after it counts
            if left and not self._segments.has_waiting():
                self.spooled_bytes -= left

    def is_found(self) -> bool:
        """Tell whether head and segments are still there and this process's; lost is what is not.

        A tidier may remove some of them, and a daemon closes them all. What was lost with a former
        owner does not count: it waits for room, see `rescue`.
        """
        segments = self._segments
        if segments is None:
            return True
        every = (*segments.used, *segments.ready, *segments.aside.segments)
        lost = [segment for segment in every if not segment.look()]
        for segment in lost:
            with contextlib.suppress(ValueError):  # not ready, or not any more
                segments.ready.remove(segment)
        prefix = segments.owner.prefix
        is_lost = any(prefix_of_segment(segment.name) == prefix for segment in lost)
        return segments.owner.is_intact() and not is_lost and not segments.is_paused

    def tidy(self) -> None:
        """Between two passes: have a segment ready, use again or remove what is settled."""
        if self._segments is not None:
            self._segments.recycle()
            self._segments.prepare()

    def __len__(self) -> int:
        """Return the number of entries that wait."""
        return len(self._lanes) + (self._segments.count() if self._segments is not None else 0)

    def has_waiting(self) -> bool:
        """Tell whether an entry waits, without counting."""
        segments = self._segments
        return len(self._lanes) > 0 or (segments is not None and segments.has_waiting())

    def is_urgent(self, rank: int) -> bool:
        """Tell whether an entry of this rank or a higher one waits."""
        return self._has_urgent or self._lanes.is_urgent(rank)

    def oldest(self) -> bytes:
        """Return the oldest entry that waits, or bytes above every entry."""
        first = self._segments.first() if self._segments is not None else b""
        return min(first, self._lanes.oldest()) if first else self._lanes.oldest()

    def drain(self, into: list[bytes]) -> None:
        """Move all entries of the lanes to a list; those of the segments stay where they are."""
        self._lanes.drain(into)

    def count_spooled(self) -> int:
        """Return how many entries of the segments wait."""
        return self._segments.count() if self._segments is not None else 0

    def restart(self, owner: Owner) -> bool:
        """Write to segments of another owner from now on; they get what the old ones hold.

        Returns:
            Whether there was room for all of it.

        Raises:
            OSError: the first segment cannot be made; the owner is discarded.
        """
        if self._segments is not None:
            self._write = self._segments.restart(owner).write
        return self.rescue()

    def rescue(self) -> bool:
        """Ask for room for what lost segments hold; tell whether none of it waits for room."""
        segments = self._segments
        if segments is None:
            return True
        segments.room.ask_again()
        segments.rescue()
        is_lost = any(segment.is_lost for segment in list(segments.used))
        return not (is_lost or segments.aside.has_lost())

    def pause(self) -> None:
        """Have the lanes take entries until `restart`: no other process would find them."""
        self._write = closed
        if self._segments is not None:
            self._segments.pause()

    @property
    def is_paused(self) -> bool:
        """Tell whether `restart` is to be tried again."""
        return self._segments is not None and self._segments.is_paused

    def stop(self) -> None:
        """Spool no entry from now on: they go to the lanes."""
        self._mark[0] = 0
        self._write = closed
        if self._segments is not None:
            self._segments.seal()

    def leave(self) -> int:
        """Stop; return how many entries are left for whoever runs next, or remove all files."""
        self.stop()
        segments, self._segments = self._segments, None
        left = segments.leave() if segments is not None else 0
        if left:
            self._segments = segments  # they stay pending here
        return left

    def seal_in_child(self) -> None:
        """In a process forked just now: write to no inherited map."""
        self._write = closed
        if self._segments is not None:
            self._segments.close_in_child()
