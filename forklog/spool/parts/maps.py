"""Maps a segment's file, and tells whether the map may go: for `segment`, `segments` and `owner`.

Up to Python 3.12 a map has a descriptor of its own, which it closes by number when it goes. By then
the application may have closed that number, and opened a file that has it now.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import sys
from collections import deque
from collections.abc import Iterator

_STDERR = 2


class Map(mmap.mmap):
    """A map that may know its own descriptor: number, device and inode."""

    own: tuple[int, int, int] | None = None

    def know(self, number: int, identity: tuple[int, int]) -> None:
        """Take note of its own descriptor."""
        self.own = number, *identity


def new_map(file: int, size: int) -> mmap.mmap:
    """Map a file; without a descriptor of its own where Python can do that."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(file, size, trackfd=False)
    probes: list[int] = []
    try:
        probes.extend(map(os.dup, [file]))
        number = probes[0]
    finally:
        deque(map(os.close, probes), maxlen=0)
    made, identity = Map(file, size), _identity(file)
    # Its number is the lowest that is free, unless another thread has just taken that one.
    for known in itertools.chain([number], _numbers()):
        if known != file and _identity(known) == identity:
            made.know(known, identity)
            break
    return made


def _numbers() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208 - no objects needed


def _identity(number: int) -> tuple[int, int]:
    try:
        found = os.fstat(number)
    except OSError:
        return -1, -1
    return found.st_dev, found.st_ino


def has_low_number(made: object) -> bool:
    """Tell whether a map's own descriptor has the number of stdin, stdout or stderr."""
    own = getattr(made, "own", None)
    return own is not None and own[0] <= _STDERR


def may_go(made: object) -> bool:
    """Tell whether a map closes no descriptor of the application's, as far as that is known."""
    own = getattr(made, "own", None)
    return own is None or _identity(own[0]) == own[1:]


def let_go(maps: list[object], made: object) -> None:
    """Remove a map from those that are kept, if it may go. ValueError where it is not there."""
    if may_go(made):
        maps.remove(made)
