"""The segments of one living spool: which is written to, which are read, which is ready.

A segment that is settled is zeroed and used again, so that in steady use no file is made and no
page faults. Bounds are asked when a segment is made, and at no other time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from forklog.spool.format import LARGE_BYTES, OVERHEAD, SEGMENT_BYTES
from forklog.spool.parts.aside import Aside
from forklog.spool.parts.maps import let_go
from forklog.spool.parts.reading import Reading
from forklog.spool.parts.rescue import remove_ready, rescue
from forklog.spool.parts.room import Room
from forklog.spool.parts.segment import Segment

if TYPE_CHECKING:
    from forklog.spool.owner import Owner


class Segments(Reading):
    """Segments in the order in which they are read; the last is written to.

    `next` and `activate` are for any thread; the rest is the flush thread's.

    Args:
        owner: makes files.
        max_bytes: bound of the sizes of all segments together.
        maps: gets each map that may be in use, so that a child keeps it.
    """

    def __init__(self, owner: Owner, max_bytes: int, maps: list[object]) -> None:
        """Have none."""
        super().__init__()
        self.owner, self._max_bytes, self._maps = owner, max_bytes, maps
        self.ready: deque[Segment] = deque()
        self.room = Room(max_bytes)
        self._made, self._is_over = 0, False
        self.is_paused = False
        """Its files are gone, and there was no room for others: no segment may be made."""
        self.aside = Aside()
        self.made_inline = 0
        """Segments that a log call had to make."""

    def __del__(self) -> None:
        """Keep the maps of a spool that was never closed, where that is called for."""
        if hasattr(self, "_maps"):  # no signal handler's exception has struck the constructor
            self.owner.keep(self._maps)

    def next(self, size: int) -> Segment | None:
        """Return a segment that holds an entry of this size, None if there is none to be had."""
        with contextlib.suppress(IndexError):
            segment = self.ready.popleft()
            if size + OVERHEAD < segment.size:
                return segment
            self.ready.append(segment)
            if self._is_over:  # since then: whoever left the files did not see this one
                segment.unlink()
        try:
            segment = self.new(at_least=size + OVERHEAD)
        except OSError:  # full, read-only, gone
            return None
        self.made_inline += 1
        if self._is_over:
            segment.unlink()
            return None
        return segment

    def is_left(self, segment: Segment) -> bool:
        """Tell whether one that was written to during a close is left with the others.

        Else it came after them, and its file goes: no head would tell whose it is.
        """
        if segment.end is None:
            segment.unlink()
            with contextlib.suppress(ValueError):
                self.used.remove(segment)
        return segment.end is not None

    def activate(self, segment: Segment) -> None:
        """Let a segment be written to, and be read after all others."""
        segment.open(self.used)

    def new(self, *, at_least: int = 0, is_first: bool = False, is_small: bool = False) -> Segment:
        """Make a segment; OSError where a bound or the system forbids it."""
        if self.is_paused:
            raise OSError("the spool's files are gone")
        room, sizes = self.room, SEGMENT_BYTES[: 1 if is_small or is_first else self._made + 1]
        # A smaller one where the bound, or the folder, has no room for a large one.
        size = room.largest(sizes)
        size = max(size, LARGE_BYTES) if at_least > size else size
        if room.is_refused(size):
            raise OSError("refused a moment ago")
        if at_least > size or not room.reserve(size):
            raise OSError("the spool's bound is reached")
        is_made = False
        try:
            self.owner.check_room(size, is_first=is_first)
            segment = self.owner.new_segment(size)
            is_made = True
        except OSError as error:
            room.refuse(size)
            self.owner.note(error)
            raise
        finally:
            if not is_made:
                room.give_back(size)
        self._maps.append(segment.map)
        self._made += not is_small
        return segment

    def put_aside(self, entry: bytes) -> None:
        """Keep a copy of an entry that waits apart from the others, once; OSError without room."""
        self.aside.put(entry, self.new)

    def trim_aside(self, entries: list[bytes]) -> None:
        """Remove the copies of all but these entries, as far as that can be done."""
        self.aside.trim(entries, self.new, self._remove, lambda: self.room.left)

    def read_aside(self, entries: list[bytes]) -> int:
        """Read these entries from their copies, and drop the others; return their bytes."""
        size = self.aside.give(set(entries), self.used) if entries else 0
        self.drop_aside()
        return size

    def drop_aside(self) -> None:
        """Remove the copies: none waits apart any more."""
        self.aside.drop(self._remove)

    def prepare(self) -> None:
        """Have a segment ready for when the active one is full.

        Where none may be made, the active one is used again once all of it is settled. After a
        refusal, one that is ready may be small: a larger one is tried beside it.
        """
        active, room = (self.used[-1] if self.used else None), self.room
        if self._is_over or (active and active.position() <= active.size // 2):
            return
        if self.ready and not room.has_refused():
            return
        room.ask_again()
        largest = room.largest(SEGMENT_BYTES[: self._made + 1])
        if any(segment.size >= largest for segment in list(self.ready)):
            return
        try:
            self._make_ready()
        except OSError:
            is_last = not self.ready and len(self.used) == 1
            if active and is_last and active.mark >= active.position():
                active.seal()  # what is written meanwhile keeps it from being done
                self.recycle()

    def _make_ready(self) -> None:
        self.ready.append(self.new())
        if self._is_over:  # since the look: whoever left the files did not see this one
            with contextlib.suppress(IndexError):  # a log call has taken it
                self.ready.pop().unlink()

    def recycle(self) -> None:
        """Use again, or remove, the segments of which nothing is left."""
        while self.used and self.used[0].is_done():
            segment = self.used.popleft()
            is_over = self._is_over or self.is_paused
            if self.ready or segment.is_lost or is_over or self._may_grow(segment):
                self._remove(segment)
            else:
                segment.clear()
                self.ready.append(segment)

    def _may_grow(self, segment: Segment) -> bool:
        """Tell whether a larger one may take the place of this one, as far as that is known."""
        size, left = SEGMENT_BYTES[-1], self.room.left + segment.size
        return segment.size < size <= left and not self.room.has_refused()

    def _remove(self, segment: Segment) -> None:
        segment.unlink()
        if not segment.is_lost:
            self.room.give_back(segment.size)
            self.owner.folder.add(-segment.size)
        if self.owner.has_descriptors():  # else its number is another file's: keep it for ever
            let_go(self._maps, segment.map)

    def pause(self) -> None:
        """Let nothing be written until `restart`: no other process would find it."""
        self.is_paused = True
        while self.ready:
            with contextlib.suppress(IndexError):  # a log call has taken it
                self._remove(self.ready.pop())

    def restart(self, owner: Owner) -> Segment:
        """Have another owner make the segments, and return the first; or discard it: OSError."""
        self.owner.keep(self._maps)
        before, room, is_paused = self.owner, self.room, self.is_paused
        ready = list(self.ready)
        self.owner, self.room, self.is_paused = owner, Room(self._max_bytes), False
        try:
            segment = self.new(is_first=True)
        except OSError:
            self.owner, self.room, self.is_paused = before, room, is_paused
            owner.discard()
            raise
        remove_ready(self.ready, ready, self._maps)
        self.lose_others(owner.prefix)
        self.activate(segment)
        self.aside.lose()
        return segment

    def _forget(self, segments: list[Segment]) -> None:
        while segments:
            with contextlib.suppress(ValueError):
                let_go(self._maps, segments.pop().map)

    def rescue(self) -> None:
        """Copy into new segments what lost ones hold, as far as there is room."""
        rescue(self.used, self.new, self._forget, self.owner.folder)
        self.aside.rescue(self.new, self._forget)

    def seal(self) -> None:
        """Let nothing be written, and make no segment, any more."""
        self._is_over = True
        for segment in list(self.used):
            segment.seal()

    def close_in_child(self) -> None:
        """In a process forked just now: write to no inherited map."""
        for segment in (*self.used, *self.ready, *self.aside.segments):
            segment.close()

    def leave(self, *, is_all_settled: bool = True) -> int:
        """After `seal`: leave what is not settled, and return how many; or remove all files.

        What was taken is settled, unless the caller cannot tell.
        """
        self.owner.keep(self._maps)
        left = self.count() + self.aside.count()
        if not is_all_settled:
            left = left or sum(not segment.is_done() for segment in self.used)
        for segment in (*self.ready, *(() if left else self.used)):
            segment.unlink()
        if left:
            self.owner.leave()
            return left
        self.owner.remove()
        self._maps.clear()
        return 0
