"""Opens what stands in a spool's folder, waiting for nothing and following no link; and locks it.

A record lock does not exclude its own process, and goes when that process closes any descriptor of
the file. So each part of a process claims a head first (`forklog.spool.claims`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # on Windows, where there is no spool
    fcntl = None  # type: ignore[assignment]

from forklog.descriptors.above import CLOEXEC, NOFOLLOW, NONBLOCK, open_above

if TYPE_CHECKING:
    from forklog.spool.folder import Folder

_FLAGS = os.O_RDWR | CLOEXEC | NONBLOCK | NOFOLLOW
BAD = ".bad"


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
