"""The segments of one living spool: which is written to, which are read, which is ready.

A segment that is settled is zeroed and used again, so that in steady use no file is made and no
page faults. Bounds are asked when a segment is made, and at no other time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from forklog.insert_id import KEY_BYTES
from forklog.spool.format import LARGE_BYTES, SEGMENT_BYTES
from forklog.spool.segment import Segment

if TYPE_CHECKING:
    from forklog.spool.owner import Owner

_kept: list[object] = []
_OVERHEAD = 128  # of a segment: header, and more than one newline


class Segments:
    """Segments in the order in which they are read; the last is written to.

    `next` and `activate` are for any thread; the rest is the flush thread's.

    Args:
        owner: makes files.
        max_bytes: bound of the sizes of all segments together.
        maps: gets each map that may be in use, so that a child keeps it.
    """

    def __init__(self, owner: Owner, max_bytes: int, maps: list[object]) -> None:
        """Have none."""
        self.owner, self._max_bytes, self._maps = owner, max_bytes, maps
        self.used: deque[Segment] = deque()
        self.ready: deque[Segment] = deque()
        self._size = 0
        self._made = 0
        self.aside: list[Segment] = []
        """They hold copies of what was put aside, and are not read here."""
        self._aside_keys: set[bytes] = set()
        self.made_inline = 0
        """Segments that a log call had to make."""

    def next(self, size: int) -> Segment | None:
        """Return a segment that holds an entry of this size, None if there is none to be had."""
        try:
            segment = self.ready.popleft()
        except IndexError:
            pass
        else:
            if size + _OVERHEAD < segment.size:
                return segment
            self.ready.append(segment)
        try:
            segment = self.new(at_least=size + _OVERHEAD)
        except OSError:  # full, read-only, gone
            return None
        self.made_inline += 1
        return segment

    def activate(self, segment: Segment) -> None:
        """Let a segment be written to, and be read after all others."""
        segment.open()
        self.used.append(segment)

    def new(self, *, at_least: int = 0, is_first: bool = False, is_small: bool = False) -> Segment:
        """Make a segment; OSError where a bound or the system forbids it."""
        size = SEGMENT_BYTES[0 if is_small else min(self._made, len(SEGMENT_BYTES) - 1)]
        size = max(size, LARGE_BYTES) if at_least > size else size
        if at_least > size or self._size + size > self._max_bytes:
            raise OSError("the spool's bound is reached")
        if not self.owner.folder.has_room(size, is_first=is_first):
            raise OSError("the folder's bound, or what must stay free, is reached")
        segment = self.owner.new_segment(size)
        self._maps.append(segment.map)
        self._made += not is_small
        self._size += size
        return segment

    def put_aside(self, entry: bytes) -> None:
        """Keep a copy of an entry that waits apart from the others, once; OSError without room.

        The mark moves past the place where it stands.
        """
        key = entry[:KEY_BYTES]
        if key in self._aside_keys:
            return
        with contextlib.suppress(ValueError):
            if self.aside:
                self.aside[-1].write(entry + b"\n")
                self._aside_keys.add(key)
                return
        segment = self.new(at_least=len(entry) + _OVERHEAD, is_small=True)
        segment.open()
        segment.write(entry + b"\n")
        self.aside.append(segment)
        self._aside_keys.add(key)

    def is_aside(self, entry: bytes) -> bool:
        """Tell whether there is a copy of an entry among those that were put aside."""
        return entry[:KEY_BYTES] in self._aside_keys

    def drop_aside(self) -> None:
        """Remove the copies: none waits apart any more."""
        self._aside_keys.clear()
        while self.aside:
            self._remove(self.aside.pop())

    def prepare(self) -> None:
        """Have a segment ready for when the active one is full."""
        active = self.used[-1]
        if not self.ready and active.position() > active.size // 2:
            with contextlib.suppress(OSError):
                self.ready.append(self.new())

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
                size = sum(map(len, entries))
                if moved and moved + size > max_bytes:
                    return moved
                into.extend(entries)
                segment.taken = end
                moved += size
            if segment.taken < segment.position():
                return moved
        return moved

    def settle(self) -> None:
        """Everything that was taken is settled."""
        for segment in list(self.used):
            segment.settle()

    def recycle(self) -> None:
        """Use again, or remove, the segments of which nothing is left."""
        while self.used and self.used[0].is_done():
            segment = self.used.popleft()
            if self.ready or segment.size < SEGMENT_BYTES[-1]:
                self._remove(segment)
            else:
                segment.clear()
                self.ready.append(segment)

    def _remove(self, segment: Segment) -> None:
        segment.unlink()
        self._size -= segment.size
        self.owner.folder.add(-segment.size)
        if self.owner.has_descriptors():  # else its number is another file's: keep it for ever
            self._maps.remove(segment.map)

    def give_back(self) -> int:
        """Take back what was taken and is not settled; return its bytes without newlines."""
        return sum(segment.give_back() for segment in list(self.used))

    def restart(self, owner: Owner) -> Segment:
        """Have another owner make the segments; return the first. The maps of old ones stay."""
        _kept.extend(self._maps)  # a daemon may have closed their descriptors
        before, self.owner = self.owner, owner
        try:
            segment = self.new(is_first=True)
        except OSError:
            self.owner = before
            raise
        self.activate(segment)
        self.aside.clear()  # the next try writes a copy again
        self._aside_keys.clear()
        return segment

    def all(self) -> Iterator[bytes]:
        """Give all entries that wait, and take none."""
        for segment in list(self.used):
            content = segment.map[segment.taken : segment.position()]
            yield from content.split(b"\n")

    def seal(self) -> None:
        """Let nothing be written any more."""
        for segment in list(self.used):
            segment.seal()

    def close_in_child(self) -> None:
        """In a process forked just now: write to no inherited map."""
        for segment in (*self.used, *self.ready, *self.aside):
            segment.close()

    def leave(self) -> int:
        """After `seal`: leave what is not settled to others; return how many entries.

        Removes all files where nothing is left.
        """
        left = self.count() + len(self._aside_keys)
        for segment in (*self.ready, *(() if left else self.used)):
            segment.unlink()
        if left:
            self.owner.leave()
            return left
        is_safe = self.owner.has_descriptors()
        self.owner.remove()
        if is_safe:  # else a map would close what is another file's now
            self._maps.clear()
        return 0

    def count(self) -> int:
        """Return how many entries wait."""
        return sum(segment.count() for segment in list(self.used))

    def has_waiting(self) -> bool:
        """Tell whether an entry waits."""
        return any(segment.taken < segment.position() for segment in list(self.used))

    def first(self) -> bytes:
        """Return the first entry that waits, or nothing."""
        return next(filter(None, (segment.first() for segment in list(self.used))), b"")
