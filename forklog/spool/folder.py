"""The folder of a spool: made and checked before anything of it is trusted; and its bounds.

One folder belongs to one user. All files are opened relative to its descriptor, so that none can
replace a folder on the way.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import weakref
from collections.abc import Iterable

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, open_above

# Not on Windows, where there is no spool.
DIRECTORY, _PATH = getattr(os, "O_DIRECTORY", 0), getattr(os, "O_PATH", 0)
# Where a mapped file is memory of this kernel: a lock tells whether its owner lives.
_FIT = frozenset({"tmpfs", "ext2", "ext3", "ext4", "xfs", "overlay", "f2fs"})
# Where each store needs a new block: on a full one it would kill the process with SIGBUS.
_COPY_ON_WRITE = frozenset({"btrfs", "zfs", "bcachefs"})
PROC = "/proc/self/fd"
_NONE = 2**31 - 1  # no process has so many descriptors; -1 means something else to `os.scandir`
_LEAST_OF_A_NAME = 12  # bytes in the folder; ext4's least, and tmpfs counts 20 for each
PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
"""Errors of a system that lacks descriptors, memory or blocks just now; it may have them later."""
_FREE_OF_TMPFS, _FREE_OF_DISK, _FREE_FOR_FIRST = 0.25, 0.1, 0.02


class UnfitError(Exception):
    """The spool cannot work here; the text says why and what to do."""


# By descriptor, the last that opened it: a daemon closes all, and the next one gets the number.
_last: weakref.WeakValueDictionary[int, Folder] = weakref.WeakValueDictionary()


class FullError(OSError):
    """The folder has no room just now, by a bound of ours."""


class Folder:
    """An open, checked folder; for one process.

    Args:
        path: absolute.
        max_bytes: bound of all files in it, by whomever they are.
        is_made: whether to make it where it is missing.

    Raises:
        UnfitError: it is not this user's alone, on an unfit file system, or not writable.
        OSError: the system lacks something just now, such as a descriptor.
    """

    def __init__(self, path: str, max_bytes: int, *, is_made: bool = True) -> None:
        """Make the folder if it is missing, open and check it."""
        self.path, self._max_bytes = path, max_bytes
        self._identity: tuple[int, int] | None = None
        self._user = os.geteuid()
        self.used_bytes = 0
        """Bytes of all files as of the last `names`."""
        try:
            self.descriptor = _opened(path, is_made=is_made)
        except OSError as error:
            if error.errno in PASSING:
                raise
            raise UnfitError(f"the folder {path} cannot be opened: {error.strerror}") from error
        _last[self.descriptor] = self
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        found = os.fstat(self.descriptor)
        self._identity = found.st_dev, found.st_ino
        if found.st_uid != os.geteuid():
            raise UnfitError(f"the folder {self.path} belongs to user {found.st_uid}, not to us")
        mode = stat.S_IMODE(found.st_mode)
        if mode != 0o700:  # noqa: PLR2004 - as `ls -l` shows it
            raise UnfitError(f"the folder {self.path} has mode {mode:04o}; give it 0700")
        if not os.access(".", os.W_OK, dir_fd=self.descriptor):
            raise UnfitError(f"the folder {self.path} is not writable")
        kind = file_system(found.st_dev, self.path)
        if why := why_unfit(kind):
            raise UnfitError(f"the folder {self.path} is on {kind}; {why}")
        self.is_memory = kind == "tmpfs"

    def is_own(self) -> bool:
        """Tell whether this process is still the user who has opened it."""
        return os.geteuid() == self._user

    def why_lost(self, error: Exception) -> Exception:
        """Return why nothing can be written here any more: an error, unless the user is another."""
        if self.is_own():
            return error
        text = "this process has changed its user since its first record"
        return UnfitError(f"{text}, and may not write to {self.path} any more")

    def close(self) -> None:
        """Close the descriptor, unless its number is another file's by now. May be repeated."""
        descriptor, self.descriptor = self.descriptor, _NONE
        if _last.get(descriptor) is not self:
            return
        del _last[descriptor]  # before another thread gets the number
        with contextlib.suppress(OSError):  # a daemon has closed all of them
            found = os.fstat(descriptor)
            if self._identity in (None, (found.st_dev, found.st_ino)):
                os.close(descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file; by the folder's path once this is closed. OSError where it cannot be."""
        if self.descriptor == _NONE:
            os.unlink(os.path.join(self.path, name))  # noqa: PTH108, PTH118 - no object needed
        else:
            os.unlink(name, dir_fd=self.descriptor)

    def names(self, *, is_measured: bool = True) -> list[str]:
        """Return the names of all files, and measure them if that is wanted.

        By a descriptor of its own: two threads that read one at a time would each miss names.
        """
        names, used = [], 0
        flags = os.O_RDONLY | DIRECTORY | NOFOLLOW | CLOEXEC
        descriptor = os.open(".", flags, dir_fd=self.descriptor)
        try:
            with os.scandir(descriptor) as found:
                for item in found:
                    names.append(item.name)
                    with contextlib.suppress(OSError):  # gone meanwhile
                        used += item.stat(follow_symlinks=False).st_size if is_measured else 0
        finally:
            os.close(descriptor)
        if is_measured:
            self.used_bytes = used
        return names

    def has_few(self, largest: int) -> bool:
        """Tell whether its files fit into its bound, were all of this size.

        By the size of the folder itself, which bounds their number: no file need be looked at.
        """
        files = os.fstat(self.descriptor).st_size // _LEAST_OF_A_NAME
        return files * largest <= self._max_bytes

    def has_room(self, size: int, *, is_first: bool = False, excess: int = 0) -> bool:
        """Tell whether a further segment may be made, by the bound and by what must stay free.

        Args:
            size: of the segment.
            is_first: whether most of what must stay free else may be used.
            excess: bytes by which it may pass the bound.
        """
        if self.used_bytes + size > self._max_bytes + excess:
            return False
        room = os.statvfs(self.descriptor)
        share = _FREE_OF_TMPFS if self.is_memory else _FREE_OF_DISK
        if is_first:
            share = _FREE_FOR_FIRST
        return room.f_bavail * room.f_frsize - size >= share * room.f_blocks * room.f_frsize

    def add(self, size: int) -> None:
        """Count a file that was made, or, with a negative size, removed since the last scan."""
        self.used_bytes += size


def why_unfit(kind: str) -> str:
    """Tell why no spool may stand on a file system of this type, and what to do; nothing if fit."""
    if kind in _FIT:
        return ""
    if kind in _COPY_ON_WRITE:
        return "copy-on-write reserves no room for entries; give a folder on tmpfs, ext4 or xfs"
    return "a spool needs a local one"


def _opened(path: str, *, is_made: bool) -> int:
    flags = os.O_RDONLY | DIRECTORY | NOFOLLOW | CLOEXEC
    try:
        return open_above(path, flags)
    except FileNotFoundError:
        if not is_made:
            raise
    _make(path)
    return open_above(path, flags)


def _make(path: str, *, is_again: bool = False) -> None:
    """Make a folder and those it stands in, each private."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102 - no object needed
    except FileExistsError:  # by now: another process was faster
        return
    except FileNotFoundError:
        if is_again:  # a link that leads nowhere, or a file system that makes none
            raise
        _make(os.path.dirname(path))  # noqa: PTH120
        _make(path, is_again=True)
        return
    made = os.open(path, _PATH | DIRECTORY | NOFOLLOW | CLOEXEC)
    try:  # whatever the mask; by the descriptor, as a link may stand there by now
        os.chmod(f"{PROC}/{made}", 0o700)  # noqa: PTH101
    finally:
        os.close(made)


@functools.cache
def file_system(device: int, _path: str) -> str:
    """Return the type of the file system with this device number.

    The table takes longer to read than all else that a first record needs, so it is read ahead,
    and a child inherits the answer.
    """
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    with open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123 - bytes: a decoder costs more
        return _type_in(lines, wanted)


def _type_in(lines: Iterable[bytes], wanted: bytes) -> str:
    has_btrfs = False
    for line in lines:
        kind = line.rpartition(b" - ")[2].split(b" ", 1)[0].decode("ascii", "replace")
        if line.split(b" ", 3)[2] == wanted:
            return kind
        has_btrfs = has_btrfs or kind == "btrfs"
    # A subvolume of btrfs has a number of its own, which stands in no table.
    return "btrfs" if has_btrfs else "an unknown file system"
