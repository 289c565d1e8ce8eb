"""Copies entries that were set aside to segments of their own, which only an adopter reads.

Used by `forklog.spool.segments`. An adopter finds the copies after a kill.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import attrgetter

from forklog.insert_id import KEY_BYTES
from forklog.spool.format import OVERHEAD, SEGMENT_BYTES
from forklog.spool.parts.segment import Segment

_SPARE = 32  # so many copies too many are no matter


class Aside:
    """For the flush thread. Its users make and remove the segments."""

    def __init__(self) -> None:
        """Have none."""
        self.segments: list[Segment] = []
        """The last one is written to, unless it is lost."""
        self._keys: dict[bytes, Segment] = {}

    def put(self, entry: bytes, new: Callable[..., Segment]) -> None:
        """Keep a copy of an entry, once; OSError where `new` finds no room for a segment.

        The mark of the other segments moves past the place where it stands.
        """
        key = entry[:KEY_BYTES]
        if key in self._keys:
            return
        with contextlib.suppress(ValueError):
            if self.segments and not self.segments[-1].is_lost:
                self.segments[-1].write(entry + b"\n")
                self._keys[key] = self.segments[-1]
                return
        segment = new(at_least=len(entry) + OVERHEAD, is_small=True)
        segment.open(self.segments)
        segment.write(entry + b"\n")
        self._keys[key] = segment

    def has(self, entry: bytes) -> bool:
        """Tell whether there is a copy of an entry."""
        return entry[:KEY_BYTES] in self._keys

    def count(self) -> int:
        """Return how many entries have a copy."""
        return len(self._keys)

    def has_surplus(self, number: int) -> bool:
        """Tell whether most copies are of entries that wait apart no more; so many do."""
        return self.count() > 2 * number + _SPARE and not self.has_lost()

    def trim(
        self,
        entries: list[bytes],
        new: Callable[..., Segment],
        remove: Callable[[Segment], None],
        room_bytes: Callable[[], int],
    ) -> None:
        """Remove the copies of all others; those that share a segment with one, if there is room.

        Args:
            entries: those that wait apart.
            new: makes a segment; OSError where there is no room.
            remove: takes a segment that is not needed.
            room_bytes: tells how much `new` may make.
        """
        kept = [entry for entry in entries if self.has(entry)]
        needed = {self._keys[entry[:KEY_BYTES]] for entry in kept}
        for segment in [segment for segment in self.segments[:-1] if segment not in needed]:
            self._keys = {key: where for key, where in self._keys.items() if where is not segment}
            self.segments.remove(segment)
            remove(segment)
        if self.has_surplus(len(kept)) and sum(map(len, kept)) + SEGMENT_BYTES[0] <= room_bytes():
            with contextlib.suppress(OSError):
                self._copy(kept, new, remove)

    def _copy(
        self,
        entries: list[bytes],
        new: Callable[..., Segment],
        remove: Callable[[Segment], None],
    ) -> None:
        copies = Aside()
        gone = copies.segments
        try:
            for entry in entries:
                copies.put(entry, new)
            # No call in between: no signal handler's exception removes the wrong ones.
            gone, self.segments, self._keys = self.segments, copies.segments, copies._keys
        finally:
            while gone:
                remove(gone.pop())

    def drop(self, remove: Callable[[Segment], None]) -> None:
        """Remove the copies: none waits apart any more."""
        self._keys.clear()
        while self.segments:
            remove(self.segments.pop())

    def give(self, entries: set[bytes], into: deque[Segment]) -> int:
        """Have these entries read from their copies, before all others; return their bytes."""
        given = 0
        for segment in reversed(self.segments[:]):
            segment.move([], [], segment.seal())
            if size := segment.give_back(entries):
                steps = partial(into.appendleft, segment), partial(self.segments.remove, segment)
                deque(map(partial.__call__, steps), maxlen=0)
                given += size
        return given

    def lose(self) -> None:
        """Take all copies for lost: another owner has begun, and they are not in its files."""
        self._keys.clear()
        for segment in self.segments:
            segment.lose()

    def has_lost(self) -> bool:
        """Tell whether copies are lost, and were not copied again."""
        return any(segment.is_lost for segment in self.segments)

    def rescue(self, new: Callable[..., Segment], forget: Callable[[list[Segment]], None]) -> None:
        """Copy what lost segments hold, and remove their files; as far as there is room."""
        with contextlib.suppress(OSError):
            for lost in list(filter(attrgetter("is_lost"), self.segments)):
                for entry in lost.unsettled():
                    self.put(entry, new)
                self.segments.remove(lost)
                lost.unlink()
                forget([lost])
