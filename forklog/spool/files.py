"""Opens what stands in a spool's folder, waiting for nothing and following no link; and claims it.

A record lock does not exclude its own process, and goes when that process closes any descriptor of
the file. So each part of a process claims a head here before it opens it, until it has closed it.

What the server refuses again and again is copied behind the other entries of its orphan here. The
copy is whole before the mark moves past the entry: a kill in between leaves it twice, and it is
shown once.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from collections import deque
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # on Windows, where there is no spool
    fcntl = None  # type: ignore[assignment]

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, NONBLOCK, open_above, open_into
from forklog.process.base import Mark, home, pid
from forklog.spool.format import (
    HEADER_BYTES,
    LARGE_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    next_segment,
    read_header,
    segment_header,
)
from forklog.spool.left import interpreters

if TYPE_CHECKING:
    from forklog.spool.folder import Folder

_FLAGS = os.O_RDWR | CLOEXEC | NONBLOCK | NOFOLLOW
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | NOFOLLOW | CLOEXEC
BAD = ".bad"

Identity = tuple[int, int]
"""Device and inode of a file."""


class Claimant:
    """By what a part of this process claims files; once it is gone, it claims none."""

    __slots__ = ("__weakref__", "ref")

    def __init__(self) -> None:
        """Claim nothing yet."""
        self.ref = weakref.ref(self)


_Claims = dict[Identity, "weakref.ref[Claimant]"]
_claims: dict[Mark, _Claims] = {}  # by process: a forked child begins with none
_sockets: dict[Mark, interpreters.Sockets] = {}


def identity_of(found: os.stat_result) -> Identity:
    """Return what tells a file from all others that exist."""
    return found.st_dev, found.st_ino


def claim(identity: Identity, claimant: Claimant) -> bool:
    """Claim a file in this process; tell whether no other part of it has done so. Never blocks.

    Safe in any thread and signal handler: each step is one of C, and takes no lock.
    """
    claims = _own_claims()
    held = claims.setdefault(identity, claimant.ref)
    if held is not claimant.ref and held() is None:  # an exception struck who claimed it
        if identity in claims and claims[identity] is held:
            del claims[identity]
        held = claims.setdefault(identity, claimant.ref)
    return held is claimant.ref and interpreters.claim(_own_sockets(), pid(), identity)


def claim_new(identity: Identity, claimant: Claimant) -> None:
    """Claim a file that was made just now, whatever file had its inode before."""
    _own_claims()[identity] = claimant.ref


def release(identity: Identity, claimant: Claimant) -> None:
    """Give a claim back, if it is by this claimant; after the file was closed. May be repeated."""
    claims = _own_claims()
    if identity in claims and claims[identity] is claimant.ref:
        interpreters.release(_own_sockets(), identity)
        del claims[identity]


def _own_claims() -> _Claims:
    return _claims.setdefault(home(), {})


def _own_sockets() -> interpreters.Sockets:
    return _sockets.setdefault(home(), {})


def opened(folder: Folder, name: str, max_bytes: int) -> int | None:
    """Open a private file of this user's, without waiting and without following a link."""
    try:
        file = open_above(name, _FLAGS, dir_fd=folder.descriptor)
    except OSError:
        return None
    is_fit = False
    try:
        is_fit = is_private(os.fstat(file), max_bytes)
    finally:
        if not is_fit:
            os.close(file)
    return file if is_fit else None


def is_gone(folder: Folder, name: str) -> bool:
    """Tell whether there is no file of this name, as opposed to one that may not be opened."""
    try:
        os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def close_own(file: int, identity: Identity) -> None:
    """Close a descriptor, unless its number is another file's by now. Never raises.

    A daemon may have closed all descriptors, and the application opened files since.
    """
    with contextlib.suppress(OSError):
        if identity_of(os.fstat(file)) == identity:
            os.close(file)


def is_private(found: os.stat_result, max_bytes: int) -> bool:
    """Tell whether it is a file of this user's, under one name, for this user alone."""
    is_file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    is_own = found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
    return is_file and is_own and found.st_size <= max_bytes


def set_aside(folder: Folder, name: str) -> None:
    """Give a broken file of ours another name, so that no scan reads it again."""
    with contextlib.suppress(OSError):
        os.rename(name, name + BAD, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)


def lock(file: int) -> None:
    """Take the record lock of a file without waiting; OSError if another process has it."""
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_left(file: int) -> None:
    """Lock what a dead process left, without waiting; OSError if any process has locked it.

    An adopter locks the first byte alone, an owner all, so that `is_adopted` can tell them apart.
    """
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)


def is_adopted(file: int) -> bool:
    """Tell whether the process that has locked a file has adopted it: its owner is dead.

    The answer needs no PID, which another namespace or a later process may have as well. Several
    processes may ask at once. The caller closes the file next, which frees what this locks.
    """
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 1)
    except OSError:
        return False
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
    opened: list[int] = []
    is_made = False
    try:
        open_into(opened, name, _NEW, 0o600, dir_fd=folder.descriptor)
        # The magic last: a segment without it was being made.
        is_made = os.pwrite(opened[0], rest, len(MAGIC)) == len(rest)
        is_made = is_made and os.pwrite(opened[0], MAGIC, 0) == len(MAGIC)
    finally:
        deque(map(os.close, opened), maxlen=0)
        if opened and not is_made:
            os.unlink(name, dir_fd=folder.descriptor)
    if not is_made:
        raise OSError("no room for a segment")
