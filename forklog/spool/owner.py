"""The owner's side of a spool: the head whose lock says that its process lives.

A POSIX record lock frees at the death of its process alone: no child keeps it. It goes, too, when
its process closes any descriptor of the file, or runs another program. So a head is never opened
twice by the process that owns it, and never mapped.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections import deque
from collections.abc import Iterator

from forklog.clock import monotonic
from forklog.descriptors.above import CLOEXEC, NOFOLLOW, open_into
from forklog.spool.claims import Claimant, Identity, claim_new, identity_of, release
from forklog.spool.files import lock
from forklog.spool.folder import Folder, FullError
from forklog.spool.format import SEGMENT_BYTES, segment_name
from forklog.spool.head import LEFT_IMAGE, Head, HeadName, encode_head, new_name
from forklog.spool.parts.image import image
from forklog.spool.parts.maps import may_go
from forklog.spool.parts.segment import Segment

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_RDWR | CLOEXEC | NOFOLLOW
_MEASURE_SECONDS = 1.0  # at most between a look at the folder and a segment that relies on it

_kept: list[object] = []


class Owner:
    """A locked head, and the segments that belong to it.

    Args:
        folder: where.
        prefix: the first 19 digits of the pipeline's insertIds.
        head: what is known of this process's log.

    Raises:
        OSError: the head cannot be made.
    """

    def __init__(self, folder: Folder, prefix: str, head: Head) -> None:
        """Make the head under another name, lock it, and give it its name."""
        self.folder, self.prefix = folder, prefix
        self.image = image()
        self._measured_at = -math.inf
        self._is_denied = False
        self._numbers: Iterator[int] = itertools.count()
        self._name = HeadName(prefix, self.image)
        self._claimant = Claimant()
        self._file, self._identity = _locked_file(folder, prefix, head, self._claimant)
        try:
            self._rename(new_name(prefix))
        except BaseException:
            self._close()
            raise

    def _rename(self, before: str) -> None:
        directory = self.folder.descriptor
        os.rename(before, str(self._name), src_dir_fd=directory, dst_dir_fd=directory)

    def renew(self, head: Head) -> None:
        """Put another head in its place: more is known now. OSError where that cannot be."""
        file, identity = _locked_file(self.folder, self.prefix, head, self._claimant)
        try:
            self._rename(new_name(self.prefix))
        except BaseException:
            os.close(file)
            release(identity, self._claimant)
            raise
        before, was = self._file, self._identity
        self._file, self._identity = file, identity
        os.close(before)  # frees the lock of the old file alone
        release(was, self._claimant)

    def check_room(self, size: int, *, is_first: bool = False) -> None:
        """See that a further segment may be made; the files of all processes count.

        Raises:
            FullError: the folder's bound, or what must stay free, forbids it.
            OSError: none can be read.
        """
        is_old = monotonic() - self._measured_at >= _MEASURE_SECONDS
        if is_old and not (is_first and self.folder.has_few(SEGMENT_BYTES[-1])):
            self.folder.names()
            self._measured_at = monotonic()
        if not self.folder.has_room(size, is_first=is_first):
            raise FullError("the folder's bound, or what must stay free, is reached")

    def new_segment(self, size: int) -> Segment:
        """Make a segment; OSError where it cannot be."""
        number = next(self._numbers)
        name = segment_name(self.prefix, number)
        segment = Segment(name, self.folder, number, size)
        self.folder.add(size)
        return segment

    def note(self, error: OSError) -> None:
        """Take note of why a segment could not be made, for `was_denied`."""
        self._is_denied = self._is_denied or isinstance(error, PermissionError)

    def was_denied(self) -> bool:
        """Tell whether a segment was denied to this process since the last call."""
        was_denied, self._is_denied = self._is_denied, False
        return was_denied

    def is_intact(self) -> bool:
        """Tell whether the head is still there under its name, and still locked by this process.

        Not so after a tidier has removed it, or a daemon has closed all descriptors.
        """
        try:
            if identity_of(os.fstat(self._file)) != self._identity:
                return False  # the number is another file's now
            found = os.stat(str(self._name), dir_fd=self.folder.descriptor, follow_symlinks=False)
            if identity_of(found) != self._identity:
                return False
            lock(self._file)
        except OSError:
            return False
        return True

    def has_descriptors(self) -> bool:
        """Tell whether the head's number is still the head's: no daemon has closed everything."""
        try:
            return identity_of(os.fstat(self._file)) == self._identity
        except OSError:
            return False

    def keep(self, maps: list[object]) -> None:
        """Keep for ever what would close another's file: all maps where a daemon has closed all."""
        is_closed = self._file >= 0 and not self.has_descriptors()
        _kept.extend(made for made in maps if is_closed or not may_go(made))

    def leave(self) -> None:
        """Leave the segments to whoever runs next. May be called once."""
        name = HeadName(self.prefix, LEFT_IMAGE)
        directory = self.folder.descriptor
        if self.is_intact():
            with contextlib.suppress(OSError):
                os.rename(str(self._name), str(name), src_dir_fd=directory, dst_dir_fd=directory)
        self._close()

    def remove(self) -> None:
        """Remove the head: nothing is left to send. May be called once."""
        if self.is_intact():
            with contextlib.suppress(OSError):
                os.unlink(str(self._name), dir_fd=self.folder.descriptor)
        self._close()

    def discard(self) -> None:
        """Remove the head and close the folder, which no adopter uses."""
        self.remove()
        self.folder.close()

    def _close(self) -> None:
        if self.has_descriptors():
            os.close(self._file)
        self._file = -1
        release(self._identity, self._claimant)


def _locked_file(
    folder: Folder, prefix: str, head: Head, claimant: Claimant
) -> tuple[int, Identity]:
    """Return a new head's descriptor and identity; locked while still empty, and claimed here."""
    name, directory = new_name(prefix), folder.descriptor
    opened: list[int] = []
    try:
        open_into(opened, name, _FLAGS, 0o600, dir_fd=directory)
        [file] = opened
        identity = identity_of(os.fstat(file))
        claim_new(identity, claimant)
        lock(file)
        _write_all(file, encode_head(head))
    except BaseException:
        if opened:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)
            identity = identity_of(os.fstat(opened[0]))
            deque(map(os.close, opened), maxlen=0)
            release(identity, claimant)
        raise
    return file, identity


def _write_all(file: int, content: bytes) -> None:
    done = 0
    while done < len(content):
        done += os.write(file, content[done:])
