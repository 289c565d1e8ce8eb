"""Moves an entry that the server refuses again and again behind the others of its orphan.

Used by `forklog.spool.left.adoption` and by `forklog recover`. The copy is whole before the mark
moves past the entry: a kill in between leaves it twice, and it is shown once.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, open_into
from forklog.spool.files import opened
from forklog.spool.format import (
    HEADER_BYTES,
    LARGE_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    next_segment,
    read_header,
    segment_header,
)

if TYPE_CHECKING:
    from forklog.spool.folder import Folder
    from forklog.spool.left.orphan import Orphan

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | NOFOLLOW | CLOEXEC


def postpone(orphan: Orphan) -> bool:
    """Move the first entry of the batch behind all others; tell whether that was possible."""
    if orphan.is_at_last() or not orphan.is_intact():
        return False
    entry = orphan.batch(1, 1)[0]
    if not copy_behind(orphan.folder, orphan.segments, entry):
        return False
    orphan.settle(1)
    return True


def copy_behind(folder: Folder, segments: list[str], entry: bytes) -> bool:
    """Copy an entry to the end of the last segment, or to a new one; tell whether it could.

    Args:
        folder: where they are.
        segments: names of all segments of the orphan, of which the first is being read; a new one
            is added.
        entry: without its newline.
    """
    last = segments[-1]
    try:
        if len(segments) > 1 and _append(folder, last, entry):
            return True
        size = SEGMENT_BYTES[0]
        if HEADER_BYTES + len(entry) + 2 > size:
            size = LARGE_BYTES
        folder.names()  # to measure it: the last look may be old
        # What is full of orphans is emptied by this: the first segment goes once it is sent.
        if not folder.has_room(size, is_first=True, excess=LARGE_BYTES):
            return False
        name = next_segment(last)
        _make(folder, name, entry, size)
        folder.add(size)
    except OSError:  # no room
        return False
    segments.append(name)
    return True


def _append(folder: Folder, name: str, entry: bytes) -> bool:
    file = opened(folder, name, SEGMENT_BYTES[-1])
    if file is None:
        return False
    try:
        content = os.pread(file, SEGMENT_BYTES[-1], 0)
        header = read_header(content)
        if header is None or len(content) != header.size:
            return False
        # Behind all: a page that a disk has lost leaves NULs between entries.
        end = max(header.mark, len(content.rstrip(b"\0")))
        line = b"\n%b\n" % entry  # on a line of its own, where a kill has cut off the last one
        if end > header.size - len(line):
            return False
        return os.pwrite(file, line, end) == len(line)
    finally:
        os.close(file)


def _make(folder: Folder, name: str, entry: bytes, size: int) -> None:
    """Make a segment of this size that holds an entry; OSError where it cannot be."""
    content = segment_header(0, size) + entry + b"\n"
    rest = memoryview(content.ljust(size, b"\0"))[len(MAGIC) :]
    made: list[int] = []
    is_made = False
    try:
        open_into(made, name, _NEW, 0o600, dir_fd=folder.descriptor)
        # The magic last: a segment without it was being made.
        is_made = os.pwrite(made[0], rest, len(MAGIC)) == len(rest)
        is_made = is_made and os.pwrite(made[0], MAGIC, 0) == len(MAGIC)
    finally:
        deque(map(os.close, made), maxlen=0)
        if made and not is_made:
            os.unlink(name, dir_fd=folder.descriptor)
    if not is_made:
        raise OSError("no room for a segment")
