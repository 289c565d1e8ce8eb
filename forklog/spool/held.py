"""Copies of what a uWSGI master holds for its workers, in a spool of the master's own.

A worker that was killed after it had claimed held entries loses none, and a master that is killed
before its workers leaves them to the next start. The one store that a child makes into an inherited
map is the mark, by the process that holds the lock of `claiming`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence

from forklog.clock import monotonic
from forklog.delivery.base import Reporter
from forklog.errors import OptionError
from forklog.insert_id import AFTER_ALL
from forklog.process.base import keep_in_children
from forklog.spool.files import lock
from forklog.spool.folder import CLOEXEC, NOFOLLOW, UnfitError
from forklog.spool.owner import Owner
from forklog.spool.segment import Segment
from forklog.spool.segments import Segments

_CLAIM_SECONDS = 1.0


class Held:
    """A `forklog.delivery.base.HeldCopies`.

    Args:
        new_owner: makes the files' head.
        max_bytes: bound of the segments' sizes.
        report: takes lines for people.
    """

    def __init__(self, new_owner: Callable[[], Owner], max_bytes: int, report: Reporter) -> None:
        """Open nothing."""
        self._new_owner, self._max_bytes, self._report = new_owner, max_bytes, report
        self.owner: Owner | None = None
        self._segments: Segments | None = None
        self._maps: list[object] = []
        self._is_tried = False
        keep_in_children(self, self._maps)

    def hold(self, entries: Sequence[bytes]) -> None:
        """Write entries down, oldest first; those that find no room are in memory alone."""
        segments = self._segments or self._open()
        if segments is None:
            return
        for entry in entries:
            with contextlib.suppress(ValueError):
                if segments.used:
                    segments.used[-1].write(entry + b"\n")
                    continue
            segment = segments.next(len(entry))
            if segment is None:
                return
            segments.activate(segment)
            segment.write(entry + b"\n")

    def _open(self) -> Segments | None:
        if self._is_tried:
            return None
        self._is_tried = True
        try:
            self.owner = self._new_owner()
        except (UnfitError, OSError, OptionError) as error:
            text = f"the spool is off, entries wait in memory alone: {error}"
            self._report.say("spool", f"{text} (check the folder of the option spool)")
            return None
        self._segments = Segments(self.owner, self._max_bytes, self._maps)
        return self._segments

    @contextlib.contextmanager
    def claiming(self) -> Iterator[bool]:
        """Claim alone among all processes that inherit this; waits a second at most.

        Yields:
            Whether it does: not without files, and not where another takes too long.
        """
        file = self._lockable()
        try:
            yield file is not None and _is_locked(file)
        finally:
            if file is not None:
                os.close(file)

    def _lockable(self) -> int | None:
        """Open the first segment: its lock, unlike that of the head, is for whoever claims."""
        used = self._used()
        if self.owner is None or not used:
            return None
        path = os.path.join(self.owner.folder.path, used[0].name)  # noqa: PTH118
        try:
            return os.open(path, os.O_RDWR | CLOEXEC | NOFOLLOW)
        except OSError:  # a tidier
            return None

    def unsettled(self) -> bytes:
        """Return the oldest entry that no process has, or bytes above every entry."""
        for segment in self._used():
            if entries := segment.unsettled():
                return entries[0]
        return AFTER_ALL

    def settle(self, last: bytes) -> None:
        """Move the marks past all entries up to this one; for whoever claims alone."""
        for segment in self._used():
            entries = segment.unsettled()
            fitting = sum(entry <= last for entry in entries)
            segment.settle_first(entries[:fitting])
            if fitting < len(entries):
                return

    def _used(self) -> list[Segment]:
        return list(self._segments.used) if self._segments is not None else []

    def close(self) -> None:
        """Remove all files: this process has taken back what no other has."""
        segments, self._segments = self._segments, None
        owner, self.owner = self.owner, None
        self._is_tried = False
        if segments is not None and owner is not None:
            for segment in (*segments.used, *segments.ready):
                segment.unlink()
            owner.discard()


def _is_locked(file: int) -> bool:
    deadline = monotonic() + _CLAIM_SECONDS
    while monotonic() < deadline:
        with contextlib.suppress(OSError):
            lock(file)
            return True
        time.sleep(0.002)
    return False
