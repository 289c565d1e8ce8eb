"""The half of a spool that the flush thread uses: takes from the segments, then from the lanes."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from forklog.process.base import Mark, home, new_mark
from forklog.spool.format import prefix_of_segment
from forklog.spool.parts.lanes import Lanes, OverLanes

if TYPE_CHECKING:
    from forklog.spool.owner import Owner
    from forklog.spool.segments import Segments

NO_ALARM = sys.maxsize  # no float: each log call compares with it


def closed(_entry: bytes) -> int:
    """Stand in for the `write` of a segment where there is none."""
    raise ValueError("no segment")


class Taking(OverLanes):
    """What `Spool` inherits. For whoever runs passes, one at a time.

    `Spool.offer`, in any thread, adds to `spooled_bytes`, sets `_has_urgent`, and renews `_write`
    at the end of a segment. Once it wakes the thread it resets `_wake_rank` and `_alarm_bytes`.
    """

    def __init__(self, lanes: Lanes) -> None:
        """Be closed: there are no segments."""
        super().__init__(lanes)
        self._mark = new_mark()
        self._mark[0] = 0
        self._write: Callable[[bytes], int] = closed
        self._segments: Segments | None = None
        self._left: list[tuple[Segments, Mark]] = []  # by `leave`, or once this is collected
        weakref.finalize(self, _leave_collected, self._left).atexit = False
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
            if self._segments.aside.segments:
                self._settle_aside(self._segments)
            left = self.spooled_bytes  # before the look: what is offered after it counts
            if left and not self._segments.has_waiting():
                self.spooled_bytes -= left

    def _settle_aside(self, segments: Segments) -> None:
        """Remove copies of what is not aside any more: delivered, or dropped by an overflow."""
        number = self._lanes.count_aside()
        if not number:
            segments.drop_aside()
        elif segments.aside.has_surplus(number):
            segments.trim_aside([entry for _, entry in self._lanes.snapshot(is_aside=True)])

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

    def _begin(self, segments: Segments) -> None:
        """Use segments; their files are left or removed, even if this is collected unclosed."""
        self._segments = segments
        self._left[:] = [(segments, home())]

    def leave(self) -> int:
        """Stop; return how many entries are left for whoever runs next, or remove all files."""
        self.stop()
        self._left.clear()
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


def _leave_collected(left: list[tuple[Segments, Mark]]) -> None:
    """Leave the files of a store that was collected; in a child they are the parent's."""
    for segments, here in left:
        if here[0]:
            _leave(segments)


def _leave(segments: Segments) -> None:
    with contextlib.suppress(Exception):  # it would be printed
        segments.seal()
        segments.leave(is_all_settled=False)
        segments.owner.folder.close()
