"""The half of a spool that the flush thread uses: takes from the segments, then from the lanes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from forklog.spool.lanes import Lanes, OverLanes

if TYPE_CHECKING:
    from forklog.spool.segments import Segments


class Taking(OverLanes):
    """What `Spool` inherits. For whoever runs passes, one at a time."""

    def __init__(self, lanes: Lanes) -> None:
        """Be closed: there are no segments."""
        super().__init__(lanes)
        self._segments: Segments | None = None
        self._has_urgent = False
        self._alarm_bytes = math.inf
        self._wake_rank = 0

    def arm(self, wake_rank: int, alarm_bytes: int | None = None) -> None:
        """Ask for a wake-up at an entry of this rank, or beyond this many bytes."""
        self._lanes.arm(wake_rank, alarm_bytes)
        self._alarm_bytes = math.inf if alarm_bytes is None else alarm_bytes
        self._wake_rank = wake_rank

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move the oldest entries to the end of a list; those of the segments first."""
        self._has_urgent = False  # before the look: what comes meanwhile sets it again
        found: list[bytes] = []
        if self._segments is not None:
            size = self._segments.read(found, max_entries, max_bytes)
            into.extend(found)
            self.spooled_bytes -= size
            self._lanes.count_taken(size)
            max_bytes -= size
        if len(found) < max_entries and max_bytes > 0 and len(self._lanes):
            self._lanes.take(into, max_entries - len(found), max_bytes)

    def settle(self, size: int, *, is_last: bool = False) -> None:
        """Forget entries that were taken and are settled; if last, the segments as well."""
        self._lanes.settle(size, is_last=is_last)
        if is_last and self._segments is not None:
            self._segments.settle()
            if not self._segments.has_waiting():
                self.spooled_bytes = 0

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
