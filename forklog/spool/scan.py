"""A look at a spool's folder: claims what dead processes left, and tidies what is of no use.

Claiming is locking: the lock of a head that lives cannot be had, and one that was claimed frees
again at the claimer's death. Within this process, `forklog.spool.files` says what is claimed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import dataclass, field, replace

from forklog.errors import OptionError
from forklog.option_checks import check_labels, check_log_name, check_resource
from forklog.spool.files import (
    BAD,
    Identity,
    Token,
    claim,
    identity_of,
    is_private,
    lock,
    opened,
    release,
    set_aside,
)
from forklog.spool.folder import Folder
from forklog.spool.format import (
    FORMAT,
    MAX_HEAD_BYTES,
    Fits,
    Head,
    HeadName,
    decode_head,
    format_of_head,
    head_name_of,
    prefix_of_segment,
)
from forklog.spool.orphan import Orphan

_BAD_SECONDS = 7 * 24 * 3600.0
_NEW_SECONDS = 60.0


@dataclass(slots=True)
class Found:
    """What one look at a folder has found."""

    orphans: list[Orphan] = field(default_factory=list)
    """Claimed: locked by this process until `Orphan.close`."""
    living: int = 0
    foreign: list[str] = field(default_factory=list)
    """Heads of another format, project or endpoint, which stay."""
    heads: dict[str, Head] = field(default_factory=dict)
    """Those of them whose format is known, by name."""
    refused: list[str] = field(default_factory=list)
    """Files that are not this user's, links, pipes, broken ones."""
    error: OSError | None = None
    """Why a head could not be looked at just now."""


def scan(
    folder: Folder,
    own_image: str,
    ignored: set[Identity],
    fits: Fits | None = None,
    most: int | None = None,
) -> Found:
    """Look at all heads of a folder; claim those of dead processes.

    Args:
        folder: where.
        own_image: heads of this process image are never opened: closing one frees its lock.
        ignored: heads that are not looked at; nor are those that this process has claimed.
        fits: tells whether a head is of the adopter's project and endpoint; None for any.
        most: orphans to claim; None for all.

    Raises:
        OSError: the folder cannot be read.
    """
    found = Found()
    try:
        _look(folder, own_image, ignored, fits, found, most)
    except BaseException:
        for orphan in found.orphans:
            orphan.close()
        raise
    return found


def _look(  # noqa: PLR0913, PLR0917 - as `scan`
    folder: Folder,
    own_image: str,
    ignored: set[Identity],
    fits: Fits | None,
    found: Found,
    most: int | None,
) -> None:
    names = folder.names()
    prefixes = set()
    for text in names:
        name = head_name_of(text)
        if name is None:
            _tidy(folder, text)
            continue
        prefixes.add(name.prefix)
        if name.image == own_image or len(found.orphans) == most:
            continue
        try:
            _look_at(folder, name, ignored, fits, found)
        except FileNotFoundError:  # by now
            continue
        except OSError as error:  # no descriptor is free, or the disk fails: the next may do
            found.error = error
    for text in names:  # of an owner that was killed while it removed its files, head last
        prefix = prefix_of_segment(text)
        if prefix is not None and prefix not in prefixes:
            _tidy_segment(folder, text)


def _look_at(
    folder: Folder, name: HeadName, ignored: set[Identity], fits: Fits | None, found: Found
) -> None:
    text = str(name)
    seen = os.stat(text, dir_fd=folder.descriptor, follow_symlinks=False)
    identity = identity_of(seen)
    if not seen.st_nlink or identity in ignored:  # going just now, or not the adopter's
        return
    if not is_private(seen, MAX_HEAD_BYTES):
        found.refused.append(text)
        return
    token = Token()
    try:
        if claim(identity, token):
            _claim(folder, name, token, fits, found)
    finally:
        if not found.orphans or found.orphans[-1].token is not token:
            release(identity, token)


def _claim(folder: Folder, name: HeadName, token: Token, fits: Fits | None, found: Found) -> None:
    """Open and lock a head, which no other part of this process has open."""
    text = str(name)
    file = opened(folder, text, MAX_HEAD_BYTES)
    if file is None:  # gone by now, or no descriptor is free: that is no fault of the file's
        return
    is_claimed = False
    try:
        if not _lock(folder, text, file):
            found.living += 1
            return
        head = _read_head(folder, text, file, fits, found)
        if head is not None:
            found.orphans.append(Orphan(folder, name, file, head, token))
            is_claimed = True
    finally:
        if not is_claimed:
            os.close(file)


def _lock(folder: Folder, name: str, file: int) -> bool:
    """Lock a head; tell whether it is dead, and still under its name."""
    with contextlib.suppress(OSError):
        lock(file)
        named = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        return identity_of(os.fstat(file)) == identity_of(named)
    return False


def _read_head(
    folder: Folder, name: str, file: int, fits: Fits | None, found: Found
) -> Head | None:
    content = os.pread(file, MAX_HEAD_BYTES, 0)
    head = _checked(decode_head(content))
    if head is None:
        number = format_of_head(content)
        if number == FORMAT:  # what the server would refuse; nothing says that it is not ours
            found.refused.append(name)
        elif isinstance(number, int):
            found.foreign.append(name)
        else:
            set_aside(folder, name)
            found.refused.append(name)
        return None
    if fits is not None and not fits(head):
        found.foreign.append(name)
        found.heads[name] = head
        return None
    return head


def _checked(head: Head | None) -> Head | None:
    """Return a head whose values a request may have; the rules are those of the options."""
    if head is None:
        return None
    try:
        check_log_name(head.log_name)
        labels = check_labels(head.labels)
        resource = None if head.resource is None else check_resource(head.resource)
    except OptionError:
        return None
    return replace(head, labels=labels, resource=resource)


def _tidy(folder: Folder, name: str) -> None:
    """Remove what is ours, old and of no use: broken files, heads that were never finished.

    A head that is being made is not opened: closing it would free a lock of this process's.
    """
    is_new = name.startswith(".forklog-") and name.endswith(".new")
    if not is_new and not (name.startswith("forklog-") and name.endswith(BAD)):
        return
    with contextlib.suppress(OSError):
        seen = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        if _age(seen) <= (_NEW_SECONDS if is_new else _BAD_SECONDS):
            return
        identity, token = identity_of(seen), Token()
        try:
            if claim(identity, token):
                _remove(folder, name)
        finally:
            release(identity, token)


def _remove(folder: Folder, name: str) -> None:
    """Remove a file of ours whose lock can be had."""
    file = opened(folder, name, 2**40)
    if file is None:
        return
    try:
        if _lock(folder, name, file):
            os.unlink(name, dir_fd=folder.descriptor)
    finally:
        os.close(file)


def _tidy_segment(folder: Folder, name: str) -> None:
    """Remove a segment without a head, once it is old."""
    with contextlib.suppress(OSError):
        seen = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        if _age(seen) > _BAD_SECONDS:
            os.unlink(name, dir_fd=folder.descriptor)


def _age(seen: os.stat_result) -> float:
    """Return the seconds since a regular file was changed, 0 for anything else."""
    return time.time() - seen.st_mtime if stat.S_ISREG(seen.st_mode) else 0.0
