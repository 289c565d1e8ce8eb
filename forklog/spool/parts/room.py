"""Counts the bytes that the segments of one spool may still take, and what found no room.

Takes sizes from whoever makes segments; gives the size that may be made now.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from forklog.clock import monotonic

_REFUSED_SECONDS = 1.0  # at most between two tries where the folder had no room for a segment


class Room:
    """Bytes of which several threads reserve parts; together never more than there are.

    No method blocks, and each is safe in a signal handler: a list keeps the order of those who ask.
    """

    def __init__(self, max_bytes: int) -> None:
        """Have all of it free."""
        self._max_bytes = max_bytes
        self._parts: list[tuple[int, object]] = []
        self._refused_bytes = math.inf  # of this size, or larger, none may be made just now
        self._refused_at = 0.0

    @property
    def left(self) -> int:
        """Return how much is free."""
        return self._max_bytes - _sum(self._parts[:])

    def reserve(self, size: int) -> bool:
        """Reserve a part; tell whether there was room for it, beside those who asked before."""
        part = size, object()
        self._parts.append(part)
        asked = self._parts[:]
        if _sum(asked[: asked.index(part) + 1]) <= self._max_bytes:
            return True
        self._parts.remove(part)
        return False

    def give_back(self, size: int) -> None:
        """Free a part of this size again."""
        for part in self._parts[:]:
            if part[0] == size:
                with contextlib.suppress(ValueError):  # another thread has freed this one
                    self._parts.remove(part)
                    return

    def largest(self, sizes: Sequence[int]) -> int:
        """Return the largest of these sizes that may be made, or the largest of all."""
        left = self.left
        fits = [size for size in sizes if size <= left and not self.is_refused(size)]
        return (fits or sizes)[-1]

    def refuse(self, size: int) -> None:
        """Take note that the folder, or the system, has no room for a part of this size."""
        self._refused_bytes, self._refused_at = min(self._refused_bytes, size), monotonic()

    def is_refused(self, size: int) -> bool:
        """Tell whether a part of this size was refused a moment ago."""
        return size >= self._refused_bytes

    def has_refused(self) -> bool:
        """Tell whether a part of any size was refused a moment ago."""
        return self._refused_bytes != math.inf

    def ask_again(self) -> None:
        """Forget what was refused, once a second at most."""
        if monotonic() - self._refused_at >= _REFUSED_SECONDS:
            self._refused_bytes = math.inf


def _sum(parts: list[tuple[int, object]]) -> int:
    return sum(size for size, _ in parts)
