"""Looks at a spool's folder for the adopter: claims the spools of dead processes, tidies the rest.

Claiming is locking: the lock of a head that lives cannot be had, and one that was claimed frees
again at the claimer's death. Within this process, `forklog.spool.claims` says what is claimed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container
from dataclasses import dataclass, field, replace

from forklog.errors import OptionError
from forklog.option_checks import check_labels, check_log_name, check_project, check_resource
from forklog.spool.claims import Claimant, claim, identity_of, release
from forklog.spool.files import is_adopted, is_private, lock_left, opened, set_aside
from forklog.spool.folder import Folder
from forklog.spool.format import prefix_of_segment
from forklog.spool.head import (
    FORMAT,
    MAX_HEAD_BYTES,
    Fits,
    Head,
    HeadName,
    decode_head,
    format_of_head,
    head_name_of,
)
from forklog.spool.left.orphan import Orphan
from forklog.spool.left.tidy import is_aside, tidy, tidy_segments


@dataclass(slots=True)
class Found:
    """What one look at a folder has found."""

    orphans: list[Orphan] = field(default_factory=list)
    """Claimed: locked by this process until `Orphan.close`."""
    living: int = 0
    """Heads whose owner lives."""
    adopted: list[str] = field(default_factory=list)
    """Heads of dead processes that another process has claimed."""
    foreign: list[str] = field(default_factory=list)
    """Heads of another format, project or endpoint, which stay."""
    heads: dict[str, Head] = field(default_factory=dict)
    """Those of them whose format is known, by name."""
    refused: list[str] = field(default_factory=list)
    """Files that are not this user's, links, pipes, broken ones."""
    aside: list[str] = field(default_factory=list)
    """Broken files that were renamed earlier: none is read again."""
    headless: list[str] = field(default_factory=list)
    """Segments without a head: nothing tells what log they are of."""
    error: OSError | None = None
    """Why a head could not be looked at just now."""


def scan(  # noqa: PLR0913 - one call for all who look
    folder: Folder,
    own_image: str,
    ignored: Container[str],
    fits: Fits | None = None,
    most: int | None = None,
    *,
    is_read_only: bool = False,
) -> Found:
    """Look at all heads of a folder, the oldest first; claim those of dead processes.

    Args:
        folder: where.
        own_image: heads of this process image are never opened: closing one frees its lock.
        ignored: prefixes of the heads that are not looked at, nor are those that this process has
            claimed. No inodes: a file system gives one that was freed to the next file.
        fits: tells whether a head is of the adopter's project and endpoint; None for any.
        most: orphans to claim; None for all. Where there are more, the look ends early.
        is_read_only: whether no file may be renamed or removed; its orphans then give `entries`.

    Raises:
        OSError: the folder cannot be read.
    """
    found = Found()
    look = _Look(folder, own_image, ignored, fits, most, found, is_read_only)
    try:
        look.once()
    except BaseException:
        for orphan in found.orphans:
            orphan.close()
        raise
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    """The parts of one look."""

    folder: Folder
    own_image: str
    ignored: Container[str]
    fits: Fits | None
    most: int | None
    found: Found
    is_read_only: bool

    def once(self) -> None:
        """Look at each file."""
        names, found = self.folder.names(), self.found
        prefixes = set()
        for text in sorted(names):
            name = head_name_of(text)
            if name is None:
                self._other(text)
                continue
            prefixes.add(name.prefix)
            if name.image == self.own_image or name.prefix in self.ignored:
                continue
            if len(found.orphans) == self.most:
                continue
            try:
                self._at(name)
            except FileNotFoundError:  # by now
                continue
            except OSError as error:  # no descriptor is free, or the disk fails: the next may do
                found.error = error
        for text in names:  # of an owner that was killed while it removed its files, head last
            prefix = prefix_of_segment(text)
            if prefix is not None and prefix not in prefixes:
                found.headless.append(text)
        if found.headless and not self.is_read_only:
            tidy_segments(self.folder, found.headless)
        with contextlib.suppress(OSError):  # each lists the folder for itself later
            self._list_segments()

    def _list_segments(self) -> None:
        """List the segments of all orphans in one look, now that no owner can add any."""
        if len(self.found.orphans) < 2:  # noqa: PLR2004 - one may do it itself, if it ever has to
            return
        segments: dict[str | None, list[str]] = {}
        for text in sorted(self.folder.names(is_measured=False)):
            segments.setdefault(prefix_of_segment(text), []).append(text)
        for orphan in self.found.orphans:
            orphan.list_as(list(segments.get(orphan.name.prefix, [])))

    def _other(self, text: str) -> None:
        if is_aside(text):
            self.found.aside.append(text)
        if not self.is_read_only:
            tidy(self.folder, text)

    def _at(self, name: HeadName) -> None:
        text = str(name)
        seen = os.stat(text, dir_fd=self.folder.descriptor, follow_symlinks=False)
        identity = identity_of(seen)
        if not seen.st_nlink:  # going just now
            return
        if not is_private(seen, MAX_HEAD_BYTES):
            self.found.refused.append(text)
            return
        claimant, orphans = Claimant(), self.found.orphans
        try:
            if claim(identity, claimant):
                self._claim(name, claimant)
        finally:
            if not orphans or orphans[-1].claimant is not claimant:
                release(identity, claimant)

    def _claim(self, name: HeadName, claimant: Claimant) -> None:
        """Open and lock a head, which no other part of this process has open."""
        text, found = str(name), self.found
        file = opened(self.folder, text, MAX_HEAD_BYTES)
        if file is None:  # gone by now, or no descriptor is free: that is no fault of the file's
            return
        is_claimed = False
        try:
            if not self._lock(text, file):
                return
            head = self._read(text, file)
            if head is not None:
                found.orphans.append(Orphan(self.folder, name, file, head, claimant))
                is_claimed = True
        finally:
            if not is_claimed:
                os.close(file)

    def _lock(self, name: str, file: int) -> bool:
        """Lock a head; tell whether it is dead, and still under its name."""
        try:
            lock_left(file)
        except OSError:
            if is_adopted(file):
                self.found.adopted.append(name)
            else:
                self.found.living += 1
            return False
        named = os.stat(name, dir_fd=self.folder.descriptor, follow_symlinks=False)
        is_same = identity_of(os.fstat(file)) == identity_of(named)
        self.found.living += not is_same  # its owner has written it anew
        return is_same

    def _read(self, name: str, file: int) -> Head | None:
        content, found = os.pread(file, MAX_HEAD_BYTES, 0), self.found
        head = _checked(decode_head(content))
        if head is None:
            number = format_of_head(content)
            if number == FORMAT:  # what the server would refuse; nothing says that it is not ours
                found.refused.append(name)
            elif isinstance(number, int):
                found.foreign.append(name)
            else:
                if not self.is_read_only:
                    set_aside(self.folder, name)
                found.refused.append(name)
            return None
        if self.fits is not None and not self.fits(head):
            found.foreign.append(name)
            found.heads[name] = head
            return None
        return head


def _checked(head: Head | None) -> Head | None:
    """Return a head whose values a request may have; the rules are those of the options.

    The endpoint is only compared with the adopter's.
    """
    if head is None:
        return None
    try:
        check_project(head.project)
        check_log_name(head.log_name)
        labels = check_labels(head.labels)
        resource = None if head.resource is None else check_resource(head.resource)
    except OptionError:
        return None
    return replace(head, labels=labels, resource=resource)
