"""A spool that a dead process left, and that this process has claimed by its lock.

Its files are read, never mapped: whoever cuts one short kills no reader.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from forklog.spool.files import opened, set_aside
from forklog.spool.folder import Folder
from forklog.spool.format import (
    HEADER_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    Head,
    HeadName,
    Piece,
    entries_of,
    mark_bytes,
    prefix_of_segment,
    read_header,
)


class Orphan:
    """A claimed spool. For one thread."""

    def __init__(self, folder: Folder, name: HeadName, file: int, head: Head) -> None:
        """Hold the lock by its descriptor; read nothing yet."""
        self.folder, self.name, self.head = folder, name, head
        self._file = file
        found = os.fstat(file)
        self.identity = found.st_dev, found.st_ino
        self.age = max(0.0, time.time() - found.st_mtime)
        self._segments = sorted(
            other for other in folder.names() if prefix_of_segment(other) == name.prefix
        )
        self._open: int | None = None
        self._pieces: list[Piece] = []
        self.torn = 0
        """Pieces that were being written when the process died."""
        self.refused: list[str] = []

    def batch(self, max_entries: int, max_bytes: int) -> list[bytes]:
        """Return the next entries, at least one if there is any; the same until `settle`."""
        while not self._pieces and self._segments:
            self._read(self._segments[0])
            if not self._pieces:
                self._drop_segment()
        size = 0
        batch: list[bytes] = []
        for piece in self._pieces[:max_entries]:
            size += len(piece.entry)
            if batch and size > max_bytes:
                break
            batch.append(piece.entry)
        return batch

    def settle(self, number: int) -> None:
        """Move the mark behind the first entries of a batch: they are delivered, or counted."""
        if not number or self._open is None:
            return
        content, at = mark_bytes(self._pieces[number - 1].end)
        with contextlib.suppress(OSError):  # then they are sent once more, and shown once
            os.pwrite(self._open, content, at)
        del self._pieces[:number]
        if not self._pieces:
            self._drop_segment()

    def entries(self) -> Iterator[bytes]:
        """Give all entries, and settle none."""
        for name in self._segments:
            self._read(name)
            yield from [piece.entry for piece in self._pieces]
            self._close_segment()

    def _read(self, name: str) -> None:
        self._close_segment()
        file = opened(self.folder, name, SEGMENT_BYTES[-1])
        if file is None:
            self.refused.append(name)
            return
        self._open = file
        first = os.pread(file, HEADER_BYTES, 0)
        header = read_header(first)
        if header is None:
            if first[: len(MAGIC)].strip(b"\0"):  # else its process was killed while it made it
                set_aside(self.folder, name)
                self.refused.append(name)
            return
        content = os.pread(file, header.size - header.mark, header.mark)
        self._pieces, torn = entries_of(content, header.mark)
        self.torn += torn

    def _close_segment(self) -> None:
        self._pieces = []
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def _drop_segment(self) -> None:
        """Remove the first segment: nothing is left in it, or it is none."""
        name = self._segments.pop(0)
        was_read = self._open is not None
        self._close_segment()
        if was_read:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.folder.descriptor)

    def is_empty(self) -> bool:
        """Tell whether nothing is left, after `batch` returned nothing."""
        return not self._segments and not self._pieces

    def remove(self) -> None:
        """Remove the head, the last of its files, and let go of it."""
        with contextlib.suppress(OSError):
            os.unlink(str(self.name), dir_fd=self.folder.descriptor)
        self.close()

    def close(self) -> None:
        """Let go: whoever looks next may claim what is left."""
        self._close_segment()
        with contextlib.suppress(OSError):
            os.close(self._file)
