"""Tracks which entries of a segment the flush thread took, and which of them are settled.

Used by `forklog.spool.parts.segment`, whose other half is written to.
"""

from __future__ import annotations

import mmap
import sys
from collections import deque
from functools import partial
from io import BytesIO
from itertools import accumulate

NUL = b"\0"


class Taken:
    """The half of `forklog.spool.parts.segment.Segment` that is read."""

    __slots__ = ("_mark", "ahead", "end", "map", "size", "taken")

    map: mmap.mmap
    size: int
    _mark: memoryview
    taken: int
    """All before it was taken to be sent. An entry that begins there waits."""
    ahead: dict[int, int]
    """Behind that: where the entries begin that were taken before their turn, and their bytes."""
    end: int | None
    """Where a sealed one ends; None while it is written to."""

    def position(self) -> int:
        """Return the end of what was written."""
        return self.map.tell() if self.end is None else self.end

    def read(self, max_entries: int, max_bytes: int) -> tuple[list[bytes], int]:
        """Return the next entries, at least one if there is any, and the position behind them."""
        start, end = self.taken, self.position()
        if start >= end:
            return [], start
        stop = self.map.rfind(b"\n", start, min(end, start + max_bytes)) + 1
        if not stop:  # the first one alone is larger
            stop = max(start, self.map.find(b"\n", start, end) + 1)
        # No `split`, which compares byte by byte. What is stripped is the newline alone: an entry
        # ends with a brace.
        entries = list(map(bytes.rstrip, BytesIO(self.map[start:stop])))
        if len(entries) > max_entries:
            entries = entries[:max_entries]
            stop = start + sum(map(len, entries)) + len(entries)
        return entries, stop

    def move(self, into: list[bytes], entries: list[bytes], end: int) -> int:
        """Take these entries, which end there, to the end of a list; return their bytes.

        Without those that were taken before. In one step of C: no signal handler's exception leaves
        them in neither place.
        """
        size = end - self.taken - len(entries)
        if self.ahead:
            entries = self._in_turn(entries)
            size = sum(map(len, entries))
        ahead = {start: size for start, size in self.ahead.items() if start >= end}
        steps = partial(into.extend, entries), *self._up_to(end, ahead)
        deque(map(partial.__call__, steps), maxlen=0)
        return size

    def _up_to(self, end: int, ahead: dict[int, int]) -> tuple[partial[None], partial[None]]:
        """Return the steps by which all before a position is taken; an entry there waits."""
        while size := ahead.pop(end, 0):
            end += size + 1
        return partial(setattr, self, "taken", end), partial(setattr, self, "ahead", ahead)

    def _in_turn(self, entries: list[bytes]) -> list[bytes]:
        """Return those of the next entries that were not taken before."""
        if not self.ahead:
            return entries
        starts = accumulate((len(entry) + 1 for entry in entries), initial=self.taken)
        pairs = zip(entries, starts, strict=False)
        return [entry for entry, start in pairs if start not in self.ahead]

    def take_newest(self, into: list[bytes]) -> int:
        """Take the last entry to the end of a list, before its turn; return its bytes."""
        end, entry = self.map.rfind(b"\n", self.taken, self.position()) + 1, b""
        while end > self.taken:
            start = max(self.taken, self.map.rfind(b"\n", self.taken, end - 1) + 1)
            if start not in self.ahead:
                entry = self.map[start : end - 1]
                break
            end = min(start, next(reversed(self.ahead)))  # all behind the last one was taken then
        if entry:
            ahead = {**self.ahead, start: len(entry)}
            steps = partial(into.append, entry), *self._up_to(self.taken, ahead)
            deque(map(partial.__call__, steps), maxlen=0)  # see `move`
        return len(entry)

    def first(self) -> bytes:
        """Return the first entry that was not taken, or nothing."""
        entries, _ = self.read(1, 1)
        return next(iter(entries), b"")

    def waiting(self) -> list[bytes]:
        """Return all entries that were not taken."""
        return self._in_turn(self.read(sys.maxsize, self.size)[0])

    def count(self) -> int:
        """Return how many entries were not taken."""
        return self.map[self.taken : self.position()].count(b"\n") - len(self.ahead)

    def has_waiting(self) -> bool:
        """Tell whether an entry was not taken."""
        return self.taken < self.position()

    def take_to(self, end: int) -> None:
        """Have all before that position count as taken, as it was where it was copied from."""
        self.taken = end

    def unsettled(self) -> list[bytes]:
        """Return all entries behind the mark, also those that another process has written."""
        start = self.mark
        end = self.map.find(NUL, start)
        content = self.map[start : self.size if end < 0 else end]
        return content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]

    def settle_first(self, entries: list[bytes]) -> None:
        """Move the mark past these, the first of `unsettled`; never back.

        To where the last one stands: another process may have moved the mark meanwhile.
        """
        last = entries[-1] + b"\n" if entries else b""
        start = self.map.find(last, self.mark) if entries else -1
        if start >= 0 and start + len(last) > self.mark:
            self._mark[1] = start + len(last)

    @property
    def mark(self) -> int:
        """Return the position before which everything is settled."""
        return int(self._mark[1])

    def settle(self) -> None:
        """Move the mark: all that was taken is settled."""
        if self._mark[1] != self.taken:
            self._mark[1] = self.taken

    def give_back(self, entries: set[bytes]) -> int:
        """Take back these entries, if they were taken; return their bytes without newlines.

        What else was taken is settled, whether or not the mark has passed it.
        """
        given, start, ahead = 0, self.mark, {}
        end = max((start + size + 1 for start, size in self.ahead.items()), default=self.taken)
        for line in BytesIO(self.map[start:end]):
            if start < self.taken or start in self.ahead:
                if line[:-1] in entries:
                    given += len(line) - 1
                else:
                    ahead[start] = len(line) - 1
            start += len(line)
        deque(map(partial.__call__, self._up_to(self.mark, ahead)), maxlen=0)
        return given
