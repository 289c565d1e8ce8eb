"""Opens what stands in a spool's folder, waiting for nothing and following no link; and claims it.

A record lock does not exclude its own process, and goes when that process closes any descriptor of
the file. So each part of a process claims a head here before it opens it, until it has closed it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref

try:
    import fcntl
except ImportError:  # on Windows, where there is no spool
    fcntl = None  # type: ignore[assignment]

from forklog.process.base import Mark, home
from forklog.spool.folder import CLOEXEC, NOFOLLOW, NONBLOCK, Folder

_FLAGS = os.O_RDWR | CLOEXEC | NONBLOCK | NOFOLLOW
BAD = ".bad"

Identity = tuple[int, int]
"""Device and inode of a file."""


class Token:
    """By what a part of this process claims files; once it is gone, it claims none."""

    __slots__ = ("__weakref__", "ref")

    def __init__(self) -> None:
        """Claim nothing yet."""
        self.ref = weakref.ref(self)


_Claims = dict[Identity, "weakref.ref[Token]"]
_claims: dict[Mark, _Claims] = {}  # by process: a forked child begins with none


def identity_of(found: os.stat_result) -> Identity:
    """Return what tells a file from all others that exist."""
    return found.st_dev, found.st_ino


def claim(identity: Identity, token: Token) -> bool:
    """Claim a file in this process; tell whether no other part of it has done so. Never blocks.

    Safe in any thread and signal handler: each step is one of C, and takes no lock.
    """
    claims = _own_claims()
    held = claims.setdefault(identity, token.ref)
    if held is not token.ref and held() is None:  # an exception struck who claimed it
        if identity in claims and claims[identity] is held:
            del claims[identity]
        held = claims.setdefault(identity, token.ref)
    return held is token.ref


def claim_new(identity: Identity, token: Token) -> None:
    """Claim a file that was made just now, whatever file had its inode before."""
    _own_claims()[identity] = token.ref


def release(identity: Identity, token: Token) -> None:
    """Give a claim back, if it is by this token; after the file was closed. May be repeated."""
    claims = _own_claims()
    if identity in claims and claims[identity] is token.ref:
        del claims[identity]


def _own_claims() -> _Claims:
    return _claims.setdefault(home(), {})


def opened(folder: Folder, name: str, max_bytes: int) -> int | None:
    """Open a private file of this user's, without waiting and without following a link."""
    try:
        file = os.open(name, _FLAGS, dir_fd=folder.descriptor)
    except OSError:
        return None
    is_fit = False
    try:
        is_fit = is_private(os.fstat(file), max_bytes)
    finally:
        if not is_fit:
            os.close(file)
    return file if is_fit else None


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
