"""Reads the segments of one spool: gives their entries to the flush thread, oldest first.

Used by `forklog.spool.segments`, whose other half makes them.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator

from forklog.spool.format import prefix_of_segment
from forklog.spool.parts.segment import Segment


class Reading:
    """The half of `forklog.spool.segments.Segments` that is read, in the order of `used`."""

    def __init__(self) -> None:
        """Have none."""
        self.used: deque[Segment] = deque()
        """The last is written to."""

    def read(self, into: list[bytes], max_entries: int, max_bytes: int) -> int:
        """Move entries, oldest first, to the end of a list; return their bytes without newlines."""
        moved = 0
        for segment in list(self.used):
            if segment is not self.used[-1]:
                segment.seal()
            while max_entries > len(into) and max_bytes > moved:
                entries, end = segment.read(max_entries - len(into), max_bytes - moved)
                if not entries:
                    break
                size = end - segment.taken - len(entries)
                if moved and moved + size > max_bytes:
                    return moved
                moved += segment.move(into, entries, end)
            if segment.has_waiting():
                return moved
        return moved

    def take_newest(self, into: list[bytes]) -> int:
        """Move the newest entry to the end of a list; return its bytes. It is not read again."""
        for segment in reversed(list(self.used)):
            if segment is not self.used[-1]:
                segment.seal()
            if size := segment.take_newest(into):
                return size
        return 0

    def take_lost(self, into: list[bytes], *, is_all: bool) -> int:
        """Move what segments hold that no other process finds to a list; return their bytes.

        Args:
            into: gets entries that were not taken.
            is_all: the head is gone, and no segment is found.
        """
        moved = 0
        for segment in list(self.used):
            if is_all or segment.is_lost:
                segment.seal()
                entries, end = segment.read(sys.maxsize, segment.size)
                moved += segment.move(into, entries, end)
        return moved

    def lose_others(self, prefix: str) -> None:
        """Note as lost what is not of this prefix; log calls may have begun some that are."""
        for segment in list(self.used):
            if prefix_of_segment(segment.name) != prefix:
                segment.lose()

    def settle(self) -> None:
        """Everything that was taken is settled."""
        for segment in list(self.used):
            segment.settle()

    def give_back(self, entries: set[bytes]) -> int:
        """Take back these entries, if they were taken; return their bytes without newlines."""
        return sum(segment.give_back(entries) for segment in self._found())

    def all(self) -> Iterator[bytes]:
        """Give all entries that wait and that another process finds; take none."""
        for segment in self._found():
            yield from segment.waiting()

    def _found(self) -> list[Segment]:
        return [segment for segment in list(self.used) if not segment.is_lost]

    def count(self) -> int:
        """Return how many entries wait."""
        return sum(segment.count() for segment in list(self.used))

    def has_waiting(self) -> bool:
        """Tell whether an entry waits."""
        return any(segment.has_waiting() for segment in list(self.used))

    def first(self) -> bytes:
        """Return the first entry that waits, or nothing."""
        return next(filter(None, (segment.first() for segment in list(self.used))), b"")
