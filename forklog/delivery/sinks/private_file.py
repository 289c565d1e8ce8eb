"""Appends whole lines of the last resort to a file that no other user can plant, read or redirect.

Each folder on the way is opened by itself, relative to the one before. So nothing can be swapped
between a check and its use. A symbolic link is followed only if it is root's or our own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path, PurePath

from forklog.clock import monotonic
from forklog.descriptors.above import open_above
from forklog.stderr.waits import Waits

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MAX_LINKS = 40  # as the kernel
_OTHERS = 0o027  # what a file may not allow: the group may read it, others nothing
_IS_STEPWISE = hasattr(os, "O_PATH") and os.open in os.supports_dir_fd
_LOCK_SECONDS = 1.0  # for the lines of other processes; one that takes longer is stopped
_NAP_SECONDS = 0.005
_sleep = time.sleep
_waits = Waits()  # of all handlers of this process


def append_lines(path: str, data: bytes) -> tuple[int, OSError | None]:
    """Append data; return the bytes that were written, and what ended it before all were.

    Args:
        path: an absolute path; the file is made with mode 0600, an existing one is made private.
        data: lines, each ended by a newline. Where the last line of the file was torn, by a full
            disk or a kill, they begin on a line of their own.

    Other processes that append by this function wait for one another. A line that another process
    is writing at this moment looks like a torn one. A call waits for a second at most, those of a
    process for five, and after one in vain no other does for a while.

    Raises:
        OSError: the file cannot be opened, or is not to be trusted.
        ValueError: no file can have this name.
    """
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        _check_file(status)
        if hasattr(os, "fchmod") and status.st_mode & _OTHERS:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_OTHERS)
        _lock(descriptor)
        try:
            if _is_torn(descriptor):
                os.write(descriptor, b"\n")
        except OSError as error:
            return 0, error
        return _write(descriptor, data)
    finally:
        _unlock(descriptor)
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Keep other processes' lines out; go on without where that fails or takes too long."""
    if fcntl is not None:
        began = monotonic()
        if not _is_locked(descriptor, began + _waits.seconds("lock", _LOCK_SECONDS)):
            _waits.in_vain("lock", _LOCK_SECONDS)
        _waits.waited(monotonic() - began)


def _is_locked(descriptor: int, until: float) -> bool:
    """Lock a file; tell whether that is done, or cannot be done here."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # noqa: PERF203 - each round waits
            if monotonic() >= until:
                return False
            _sleep(_NAP_SECONDS)
        except OSError:  # a file system without such locks
            return True
        else:
            _waits.moved("lock")
            return True


def _unlock(descriptor: int) -> None:
    """Release the lock by itself: a child that was forked meanwhile has the file open as well."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    done = 0
    try:
        while done < len(data):
            done += os.write(descriptor, data[done:])
    except OSError as error:
        return done, error
    return done, None


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    if not size or not hasattr(os, "pread"):
        return False
    return os.pread(descriptor, 1, size - 1) != b"\n"


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    # Without O_NONBLOCK a planted pipe would hold the end of the process for ever.
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    if not _IS_STEPWISE:
        _check_folders(path)
        return open_above(path, flags, 0o600)
    folder = _open_folder(PurePath(path).parent)
    try:
        return open_above(PurePath(path).name, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)


def _open_folder(path: PurePath) -> int:
    """Open a folder step by step; OSError where another user could lead us elsewhere."""
    steps = list(reversed(path.parts[1:]))
    links = 0
    folder = os.open(path.anchor, os.O_PATH | os.O_CLOEXEC)
    while steps:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            step = os.open(steps.pop(), flags, dir_fd=folder)
            try:
                target = _checked(step)
            except BaseException:
                os.close(step)
                raise
        except BaseException:
            os.close(folder)
            raise
        if not target:
            os.close(folder)
            folder = step
            continue
        os.close(step)
        links += 1
        if links > _MAX_LINKS:
            os.close(folder)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        steps.extend(reversed([part for part in PurePath(target).parts if part != path.anchor]))
        if PurePath(target).is_absolute():
            os.close(folder)
            folder = os.open(path.anchor, os.O_PATH | os.O_CLOEXEC)
    return folder


def _checked(step: int) -> str:
    """Return where a link leads, nothing for a folder; OSError for those of another user."""
    status = os.fstat(step)
    is_link = stat.S_ISLNK(status.st_mode)
    if status.st_uid not in (0, os.geteuid()):
        kind = "is a symbolic link of" if is_link else "belongs to"
        raise OSError(errno.EPERM, f"a folder on the way {kind} another user")
    if is_link:
        return os.readlink("", dir_fd=step)
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return ""


def _check_folders(path: str) -> None:
    """Check the folders where they cannot be opened one by one."""
    if hasattr(os, "geteuid"):
        for folder in reversed(Path(path).parents):
            if os.lstat(folder).st_uid not in (0, os.geteuid()):
                raise OSError(errno.EPERM, "a folder on the way belongs to another user")


def _check_file(status: os.stat_result) -> None:
    """Refuse what was planted: a pipe or device, another name of a file, a file of another user."""
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not is_own:
        raise OSError(errno.EPERM, "not a plain file of this user")
