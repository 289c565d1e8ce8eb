"""A spool that a dead process left: gives its entries to the adopter, and settles them.

Its files are read, never mapped: whoever cuts one short kills no reader. Where the header of a
segment is lost, and with it the mark, all whole entries are sent: what was sent before is shown
once. The first mark that is moved makes a header anew.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from forklog.spool.claims import Claimant, Identity, close_own, identity_of, release
from forklog.spool.files import is_gone, opened, set_aside
from forklog.spool.folder import Folder
from forklog.spool.format import (
    HEADER_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    Piece,
    entries_of,
    mark_bytes,
    prefix_of_segment,
    read_header,
    repairs_of_header,
)
from forklog.spool.head import Head, HeadName


class Orphan:
    """A claimed spool. For one thread.

    Args:
        folder: where.
        name: of the head.
        file: the head's descriptor, which holds the lock.
        head: its content.
        claimant: by which this process has claimed it; given back by `close`.
    """

    def __init__(
        self,
        folder: Folder,
        name: HeadName,
        file: int,
        head: Head,
        claimant: Claimant | None = None,
    ) -> None:
        """Hold the lock by its descriptor; read nothing yet."""
        self.folder, self.name, self.head, self.claimant = folder, name, head, claimant
        self._file = file
        found = os.fstat(file)
        self.identity = identity_of(found)
        self.age = max(0.0, time.time() - found.st_mtime)
        self._listed: list[str] | None = None
        self._open: tuple[int, Identity] | None = None
        self._pieces: list[Piece] = []
        self._read_before: set[str] = set()
        self._lost_bytes = 0  # of the open segment, if its header is lost; else 0
        self.torn = 0
        """Pieces that were being written when the process died."""
        self.refused: list[str] = []
        """Files that cannot be opened, or are broken; what is whole in these is sent."""
        self.vanished: list[str] = []
        """Segments that another program removed between the list of them and the read."""
        self.error: OSError | None = None
        """Why a segment could not be read."""

    @property
    def segments(self) -> list[str]:
        """Names of the segments that are left; listed when they are first asked for, or before."""
        if self._listed is None:
            prefix = self.name.prefix
            names = self.folder.names(is_measured=False)
            self._listed = sorted(name for name in names if prefix_of_segment(name) == prefix)
        return self._listed

    def list_as(self, segments: list[str]) -> None:
        """Take over the sorted names of all its segments, as listed after it was claimed."""
        self._listed = segments

    def is_intact(self) -> bool:
        """Tell whether the lock is still held: not once a daemon has closed all descriptors."""
        files = [(self._file, self.identity), *([self._open] if self._open else [])]
        try:
            return _are_open(files)
        except OSError:
            return False

    def batch(self, max_entries: int, max_bytes: int) -> list[bytes]:
        """Return the next entries, at least one if there is any; the same until `settle`."""
        while not self._pieces and self.segments:
            self._read(self.segments[0])
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
        if not number or self._open is None or not self.is_intact():
            return
        with contextlib.suppress(OSError):  # then they are sent once more, and shown once
            self._move_mark(self._open[0], self._pieces[number - 1].end)
        del self._pieces[:number]
        if not self._pieces:
            self._drop_segment()

    def _move_mark(self, file: int, end: int) -> None:
        lost = self._lost_bytes
        for content, at in repairs_of_header(end, lost) if lost else (mark_bytes(end),):
            os.pwrite(file, content, at)
        self._lost_bytes = 0

    def is_at_last(self) -> bool:
        """Tell whether no entry is known to come behind the first one of the batch."""
        return len(self._pieces) + len(self.segments) <= 2  # noqa: PLR2004 - one of each

    def unload(self) -> None:
        """Hold no entry in memory and no segment open, until `batch` is called again."""
        self._close_segment()

    def entries(self) -> Iterator[bytes]:
        """Give all entries, and settle none."""
        for name in self.segments:
            self._read(name)
            yield from [piece.entry for piece in self._pieces]
            self._close_segment()

    def _read(self, name: str) -> None:
        self._close_segment()
        file = opened(self.folder, name, SEGMENT_BYTES[-1])
        if file is None:
            self._miss(name)
            return
        self._open = file, identity_of(os.fstat(file))
        try:
            self._parse(name, file)
        except OSError as error:  # of the disk
            self._close_segment()
            self._refuse(name)
            self.error = error

    def _parse(self, name: str, file: int) -> None:
        first = os.pread(file, HEADER_BYTES, 0)
        header = read_header(first)
        start = HEADER_BYTES if header is None else header.mark
        end = SEGMENT_BYTES[-1] if header is None else header.size
        content = os.pread(file, end - start, start)
        self._pieces, torn = entries_of(content, start)
        if header is None:
            self._lost_bytes = HEADER_BYTES + len(content)
            # Nothing but NUL in both: its process was killed while it made it.
            if first[: len(MAGIC)].strip(b"\0") or torn:
                self._refuse(name)
            torn = torn if self._pieces else 0  # else it may be any file
        self.torn += 0 if name in self._read_before else torn
        self._read_before.add(name)

    def _miss(self, name: str) -> None:
        """Tell a segment that is not there any more from one that may not be opened."""
        if not is_gone(self.folder, name):
            self._refuse(name)
        elif name not in self.vanished:
            self.vanished.append(name)

    def _refuse(self, name: str) -> None:
        if name not in self.refused:
            self.refused.append(name)

    def _close_segment(self) -> None:
        self._pieces, self._lost_bytes = [], 0
        if self._open is not None:
            close_own(*self._open)
            self._open = None

    def _drop_segment(self) -> None:
        """Remove the first segment, of which nothing is left; or set it aside, if it is broken."""
        name = self.segments.pop(0)
        was_read = self._open is not None
        self._close_segment()
        if not was_read:
            return
        if name in self.refused:
            set_aside(self.folder, name)
            return
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.folder.descriptor)

    def is_empty(self) -> bool:
        """Tell whether nothing is left, after `batch` returned nothing."""
        return not self.segments and not self._pieces

    def remove(self) -> None:
        """Remove the head, the last of its files, and let go of it."""
        with contextlib.suppress(OSError):
            os.unlink(str(self.name), dir_fd=self.folder.descriptor)
        self.close()

    def close(self) -> None:
        """Let go: whoever looks next may claim what is left."""
        self._close_segment()
        close_own(self._file, self.identity)
        if self.claimant is not None:
            release(self.identity, self.claimant)


def _are_open(files: Iterable[tuple[int, Identity]]) -> bool:
    return all(identity_of(os.fstat(file)) == identity for file, identity in files)
