"""One segment of a living spool: a mapped, zeroed file that log calls append to in one step of C.

`write` checks the room, copies and moves the map's position under the interpreter's lock. Threads,
signal handlers, finalizers and trace functions never mix, and the position is the exact end.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, filled, open_into
from forklog.spool.format import HEADER_BYTES, MAGIC, segment_header
from forklog.spool.parts.maps import has_low_number, new_map
from forklog.spool.parts.taken import NUL, Taken

if TYPE_CHECKING:
    from forklog.spool.folder import Folder

_MADV_POPULATE_WRITE = 23  # linux/mman-common.h, since 5.14; the mmap module does not name it
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_RDWR | NOFOLLOW | CLOEXEC
_ZEROS = bytes(16 * 1024)
_TRIES = 100


def _new_map_above(file: int, size: int) -> mmap.mmap:
    """Map a file; again if the map's own descriptor has got a number of a standard stream."""
    made = new_map(file, size)
    for _ in range(_TRIES):
        if not has_low_number(made):
            break
        with filled():  # which another thread may do, and end, in between
            made = new_map(file, size)
    return made


class Segment(Taken):
    """A segment of this process. `write` is for any thread; the rest for the flush thread.

    Args:
        name: of the file, which must not exist.
        folder: its folder.
        number: which segment of its spool it is.
        size: one of `format.SEGMENT_BYTES`, or `format.LARGE_BYTES`.

    Raises:
        OSError: the file cannot be made, or the file system has no room for all of it.
    """

    __slots__ = ("_folder", "is_lost", "name", "write")

    def __init__(self, name: str, folder: Folder, number: int, size: int) -> None:
        """Make the file with all its bytes: a sparse one would kill the process on a full disk."""
        self.name, self._folder, self.size = name, folder, size
        opened: list[int] = []
        made = False
        try:
            open_into(opened, name, _FLAGS, 0o600, dir_fd=folder.descriptor)
            _fill(opened[0], size, is_memory=folder.is_memory)
            self.map = _new_map_above(opened[0], size)
            with contextlib.suppress(OSError, ValueError):
                self.map.madvise(_MADV_POPULATE_WRITE)
            made = True
        finally:
            if opened and not made:
                self.unlink()
            deque(map(os.close, opened), maxlen=0)
        header = segment_header(number, size)
        self.map[len(MAGIC) : HEADER_BYTES] = header[len(MAGIC) :]
        self.map[: len(MAGIC)] = MAGIC  # last, so that a header with it is whole
        # One aligned store moves the mark: a reader sees the old one or the new one.
        self._mark = memoryview(self.map)[:HEADER_BYTES].cast("Q")
        self.taken, self.ahead, self.end = HEADER_BYTES, {}, None
        self.is_lost = False
        """Its file is removed, and it could not be copied: it lives as long as this process."""
        self.write = self.map.write
        self.close()

    def open(self, into: deque[Segment] | list[Segment]) -> None:
        """Let log calls write from the beginning on, and put it at the end of what is read.

        In one step of C: no signal handler's exception leaves one that is written to and not read.
        """
        steps = partial(self.map.seek, HEADER_BYTES), partial(into.append, self)
        deque(map(partial.__call__, steps), maxlen=0)

    def close(self) -> None:
        """Let no log call write any more: `write` raises ValueError from now on."""
        self.map.seek(0, os.SEEK_END)

    def seal(self) -> int:
        """Close it, once; return its exact end, late writers' entries included."""
        if self.end is None:
            self.close()
            end = self.map.find(NUL, self.taken)
            self.end = self.size if end < 0 else end
        return self.end

    def is_done(self) -> bool:
        """Tell whether it is sealed and all of it is settled."""
        return self.end is not None and self.mark >= self.end

    def clear(self) -> None:
        """Zero it for its next use; it stays closed."""
        end = self.seal()
        for start in range(HEADER_BYTES, end, len(_ZEROS)):
            part = _ZEROS[: end - start]
            self.map[start : start + len(part)] = part
        self.taken, self.ahead = HEADER_BYTES, {}
        self._mark[1] = HEADER_BYTES
        self.end = None

    def look(self) -> bool:
        """Tell whether the file is still there, and is lost once it is not. Any error counts."""
        if not self.is_lost:
            try:
                os.stat(self.name, dir_fd=self._folder.descriptor, follow_symlinks=False)
            except OSError:
                self.is_lost = True
        return not self.is_lost

    def lose(self) -> None:
        """Take it for lost, whether its file is there or not: no owner of this process has it."""
        self.is_lost = True

    def unlink(self) -> None:
        """Remove the file; the map stays as long as it is used."""
        with contextlib.suppress(OSError):
            self._folder.unlink(self.name)


def _fill(file: int, size: int, *, is_memory: bool) -> None:
    """Have all bytes of a file allocated, and zero, so that none can be missing later.

    In memory the system does it without a copy. On a disk it would promise blocks that a file
    system may still refuse when they are written.
    """
    if is_memory:
        os.posix_fallocate(file, 0, size)
        return
    left = memoryview(bytes(size))
    while left:
        left = left[os.write(file, left) :]
