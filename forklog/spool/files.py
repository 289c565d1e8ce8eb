"""Opens what stands in a spool's folder: whatever it is, nothing waits, no link is followed."""

from __future__ import annotations

import contextlib
import os
import stat

try:
    import fcntl
except ImportError:  # on Windows, where there is no spool
    fcntl = None  # type: ignore[assignment]

from forklog.spool.folder import CLOEXEC, NOFOLLOW, NONBLOCK, Folder

_FLAGS = os.O_RDWR | CLOEXEC | NONBLOCK | NOFOLLOW
BAD = ".bad"


def opened(folder: Folder, name: str, max_bytes: int) -> int | None:
    """Open a private file of this user's, without waiting and without following a link."""
    try:
        file = os.open(name, _FLAGS, dir_fd=folder.descriptor)
    except OSError:
        return None
    if is_private(os.fstat(file), max_bytes):
        return file
    os.close(file)
    return None


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
