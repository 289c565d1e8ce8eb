"""A look at a spool's folder: claims what dead processes left, and tidies what is of no use.

Claiming is locking: the lock of a head that lives cannot be had, and one that was claimed frees
again at the claimer's death.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import dataclass, field

from forklog.spool.files import BAD, is_private, lock, opened, set_aside
from forklog.spool.folder import Folder
from forklog.spool.format import (
    MAX_HEAD_BYTES,
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
    refused: list[str] = field(default_factory=list)
    """Files that are not this user's, links, pipes, broken ones."""


def scan(
    folder: Folder, own_image: str, claimed: set[tuple[int, int]], fits: Fits | None = None
) -> Found:
    """Look at all heads of a folder; claim those of dead processes.

    Args:
        folder: where.
        own_image: heads of this process image are never opened: closing one frees its lock.
        claimed: device and inode of those that this process has claimed already.
        fits: tells whether a head is of the adopter's project and endpoint; None for any.
    """
    found = Found()
    names = folder.names()
    prefixes = set()
    for text in names:
        name = head_name_of(text)
        if name is None:
            _tidy(folder, text)
            continue
        prefixes.add(name.prefix)
        if name.image == own_image:
            continue
        _claim(folder, name, claimed, fits, found)
    for text in names:  # of an owner that was killed while it removed its files, head last
        prefix = prefix_of_segment(text)
        if prefix is not None and prefix not in prefixes:
            _tidy_segment(folder, text)
    return found


class Fits:
    """Which heads are the adopter's own kind."""

    def __init__(
        self, project: str | None, endpoint: str | None, *, takes_unknown: bool = False
    ) -> None:
        """Be of this project, None where no option names it, and of this endpoint.

        Args:
            project: as the options name it.
            endpoint: of what is sent.
            takes_unknown: also what was killed before it had found its project.
        """
        self._project, self._endpoint = project, endpoint
        # Where no option names a project it is found, by all in the same way.
        self._takes_unknown = takes_unknown or project is None

    def learn(self, project: str) -> None:
        """Be of this project, which was found."""
        self._project = project

    def __call__(self, head: Head) -> bool:
        """Tell whether the adopter may send a head's entries."""
        if head.project is None:
            is_project = self._takes_unknown
        else:
            is_project = self._project is None or head.project == self._project
        return is_project and head.endpoint == self._endpoint


def _claim(
    folder: Folder,
    name: HeadName,
    claimed: set[tuple[int, int]],
    fits: Fits | None,
    found: Found,
) -> None:
    text = str(name)
    try:
        seen = os.stat(text, dir_fd=folder.descriptor, follow_symlinks=False)
    except OSError:  # gone
        return
    if not seen.st_nlink or (seen.st_dev, seen.st_ino) in claimed:  # going just now, or ours
        return
    if not is_private(seen, MAX_HEAD_BYTES):
        found.refused.append(text)
        return
    file = opened(folder, text, MAX_HEAD_BYTES)
    if file is None:  # gone by now, or no descriptor is free: that is no fault of the file's
        return
    head = None
    try:
        if not _lock(folder, text, file):
            found.living += 1
            return
        head = _read_head(folder, text, file, fits, found)
    finally:
        if head is None:
            os.close(file)
    if head is not None:
        found.orphans.append(Orphan(folder, name, file, head))


def _lock(folder: Folder, name: str, file: int) -> bool:
    """Lock a head; tell whether it is dead, and still under its name."""
    try:
        lock(file)
        named = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except OSError:
        return False
    held = os.fstat(file)
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)


def _read_head(
    folder: Folder, name: str, file: int, fits: Fits | None, found: Found
) -> Head | None:
    content = os.pread(file, MAX_HEAD_BYTES, 0)
    head = decode_head(content)
    if head is None:
        if isinstance(format_of_head(content), int):
            found.foreign.append(name)
        else:
            set_aside(folder, name)
            found.refused.append(name)
        return None
    if fits is not None and not fits(head):
        found.foreign.append(name)
        return None
    return head


def _tidy(folder: Folder, name: str) -> None:
    """Remove what is ours, and old, and of no use: broken files, heads that were never finished."""
    is_new = name.startswith(".forklog-") and name.endswith(".new")
    if not is_new and not (name.startswith("forklog-") and name.endswith(BAD)):
        return
    file = opened(folder, name, 2**40)
    if file is None:
        return
    try:
        age = time.time() - os.fstat(file).st_mtime
        is_old = age > (_NEW_SECONDS if is_new else _BAD_SECONDS)
        if is_old and _lock(folder, name, file):
            os.unlink(name, dir_fd=folder.descriptor)
    except OSError:
        pass
    finally:
        os.close(file)


def _tidy_segment(folder: Folder, name: str) -> None:
    """Remove a segment without a head, once it is old."""
    with contextlib.suppress(OSError):
        if _age(folder, name) > _BAD_SECONDS:
            os.unlink(name, dir_fd=folder.descriptor)


def _age(folder: Folder, name: str) -> float:
    """Return the seconds since a regular file was changed, 0 for anything else."""
    found = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    return time.time() - found.st_mtime if stat.S_ISREG(found.st_mode) else 0.0
