"""Removes this user's files from a spool's folder that are old and no longer of use; for `scan`."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterable

from forklog.spool.claims import Claimant, claim, identity_of, release
from forklog.spool.files import BAD, lock_left, opened
from forklog.spool.folder import Folder
from forklog.spool.format import prefix_of_segment
from forklog.spool.head import head_name_of

_BAD_SECONDS = 7 * 24 * 3600.0
_NEW_SECONDS = 60.0
_NEW_NAME = re.compile(r"\.forklog-[0-9a-f]{19}\.new\Z")


def is_aside(name: str) -> bool:
    """Tell whether it is the name of a head or segment that was broken, and is not read again."""
    before = name.removesuffix(BAD)
    is_ours = head_name_of(before) is not None or prefix_of_segment(before) is not None
    return is_ours and before != name


def tidy(folder: Folder, name: str) -> None:
    """Remove a broken file that is old, or a head that was never finished. Never raises.

    A head that is being made is not opened: closing it would free a lock of this process's.
    """
    is_new = _NEW_NAME.match(name) is not None
    if not is_new and not is_aside(name):
        return
    with contextlib.suppress(OSError):
        seen = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        if _age(seen) <= (_NEW_SECONDS if is_new else _BAD_SECONDS):
            return
        identity, claimant = identity_of(seen), Claimant()
        try:
            if claim(identity, claimant):
                _remove(folder, name)
        finally:
            release(identity, claimant)


def _remove(folder: Folder, name: str) -> None:
    """Remove a file of ours whose lock can be had."""
    file = opened(folder, name, 2**40)
    if file is None:
        return
    try:
        lock_left(file)
        named = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        if identity_of(os.fstat(file)) == identity_of(named):
            os.unlink(name, dir_fd=folder.descriptor)
    finally:
        os.close(file)


def tidy_segments(folder: Folder, names: Collection[str]) -> None:
    """Remove segments without a head that are old. Never raises."""
    with contextlib.suppress(OSError):
        _tidy_segments(folder, names)


def _tidy_segments(folder: Folder, names: Collection[str]) -> None:
    old = [name for name in names if age_of(folder, name) > _BAD_SECONDS]
    # Once more: a head that was renamed during the first look may have been missed.
    prefixes = _prefixes_of_heads(folder.names(is_measured=False) if old else ())
    for name in old:
        if prefix_of_segment(name) not in prefixes:
            _unlink(folder, name)


def age_of(folder: Folder, name: str) -> float:
    """Return the seconds since a regular file was changed, 0 for anything else, and for none."""
    try:
        return _age(os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False))
    except OSError:
        return 0.0


def _age(seen: os.stat_result) -> float:
    return max(0.0, time.time() - seen.st_mtime) if stat.S_ISREG(seen.st_mode) else 0.0


def remove_headless(folder: Folder, prefix: str) -> None:
    """Remove the segments of a prefix where no head is left of it. Never raises.

    No process would send them; whoever has made them has what they hold in new ones.
    """
    with contextlib.suppress(OSError):
        names = folder.names(is_measured=False)
        if prefix not in _prefixes_of_heads(names):
            _remove_segments(folder, prefix, names)


def has_files(folder: Folder, prefix: str) -> bool:
    """Tell whether a head or segment of a prefix is there, or the folder cannot be read."""
    try:
        names = folder.names(is_measured=False)
    except OSError:
        return True
    is_head = prefix in _prefixes_of_heads(names)
    return is_head or any(prefix_of_segment(name) == prefix for name in names)


def _prefixes_of_heads(names: Iterable[str]) -> set[str]:
    return {head.prefix for head in map(head_name_of, names) if head is not None}


def _remove_segments(folder: Folder, prefix: str, names: Iterable[str]) -> None:
    for name in names:
        if prefix_of_segment(name) == prefix:
            _unlink(folder, name)


def _unlink(folder: Folder, name: str) -> None:
    with contextlib.suppress(OSError):  # another process has removed it
        os.unlink(name, dir_fd=folder.descriptor)
