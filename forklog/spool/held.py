"""Copies of what a uWSGI master holds for its workers, in a spool of the master's own.

A worker that was killed after it had claimed held entries loses none. A master that is killed
before its workers leaves them to the next start. The one store that a child makes into an inherited
map is the mark, by the process that holds the lock of `claiming`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence

from forklog.clock import monotonic
from forklog.delivery.base import Reporter
from forklog.descriptors.above import CLOEXEC, NOFOLLOW, open_above
from forklog.errors import OptionError
from forklog.process.base import keep_in_children
from forklog.spool.files import lock
from forklog.spool.folder import UnfitError
from forklog.spool.lines import say_lost, say_off
from forklog.spool.owner import Owner
from forklog.spool.parts.segment import Segment
from forklog.spool.segments import Segments

_CLAIM_SECONDS = 1.0
_RETRY_SECONDS = 1.0  # at most between two tries where there was no room
_LOOK_SECONDS = 1.0  # at most between two looks at the files
_USEFUL_BYTES = 1024  # of the last segment: with fewer, no copy is tried in that second
_NO_ROOM = "its bounds, or the system, leave no room"


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
        self._full_at = self._looked_at = -math.inf
        self._may_make, self._is_gone = True, False
        self._lost: list[Segment] = []  # since the last files were begun
        self.why_off = ""
        """Why no copy is ever written here; empty where one may be."""
        self.unspooled = 0
        """Entries of which there was no copy when their log call returned, or is none any more."""
        keep_in_children(self, self._maps)

    def is_ready(self) -> bool:
        """Look after the files; tell whether copies may be tried.

        Within a second after one that found no room, only into what room the last segment has.
        """
        if self._segments is not None and monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = monotonic()
            self._look(self._segments, self._segments.owner)
        self._may_make = monotonic() - self._full_at >= _RETRY_SECONDS
        return not (self.why_off or self._is_gone) and (self._may_make or self._has_room())

    def _has_room(self) -> bool:
        return any(last.size - last.position() > _USEFUL_BYTES for last in self._used()[-1:])

    def _look(self, segments: Segments, before: Owner) -> None:
        """Begin new files where a tidier has removed some; they get what no process has yet."""
        old = list(segments.used)
        found = [segment for segment in old if not segment.is_lost]
        self._lost += [segment for segment in found if not segment.look()]
        is_intact = before.is_intact()
        is_gone = bool(self._lost) or not is_intact
        if is_gone and not self._restart(segments, before):
            return
        segments.room.ask_again()
        segments.rescue()
        left = set(old).intersection(segments.used)  # no room for these
        if is_gone:
            missed = left.intersection(self._lost if is_intact else (*self._lost, *found))
            self._lost.clear()
            self.miss(sum(len(segment.unsettled()) for segment in missed))
            end = before.leave if left else before.remove
            end()
            before.folder.close()

    def _restart(self, segments: Segments, before: Owner) -> bool:
        """Begin new files; tell whether there was room for them."""
        if before.folder.is_own():
            say_lost(self._report, before.folder.path)
        try:
            self.owner = self._new_owner()
            segments.restart(self.owner)
        except (UnfitError, OSError, OptionError) as error:
            self.owner = before
            self._wait(error)
            self._is_gone = True
            return False
        self._is_gone = False
        return True

    def miss(self, entries: int) -> None:
        """Count entries that are new, and in memory alone. Of a spool that is off none counts."""
        self.unspooled += 0 if self.why_off else entries

    def hold(self, entries: Sequence[bytes]) -> int:
        """Write entries down, in this order, up to the first that finds no room; return how many.

        The rest is in memory alone until a later call finds room.
        """
        segments = self._segments or (self._open() if entries else None)
        for number, entry in enumerate(entries):
            if segments is None or not _write(segments, entry, may_make=self._may_make):
                if segments is not None and self._may_make:
                    self._wait(_NO_ROOM)
                return number
        return len(entries)

    def _wait(self, why: object) -> None:
        self._full_at = monotonic()
        why = getattr(why, "strerror", None) or why
        text = f"the spool has no copy of some entries that workers will inherit: {why}"
        self._report.say("spool-held", f"{text} (check the folder of the option spool)")

    def _open(self) -> Segments | None:
        try:
            self.owner = self._new_owner()
        except (UnfitError, OptionError) as error:
            self.why_off = str(error)
            say_off(self._report, error)
            return None
        except OSError as error:
            self._wait(error)
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
            return open_above(path, os.O_RDWR | CLOEXEC | NOFOLLOW)
        except OSError:  # a tidier
            return None

    def unsettled(self) -> list[bytes]:
        """Return the entries that no process has, but for those written after our fork."""
        return [entry for segment in self._used() for entry in _inherited(segment)]

    def settle(self, last: bytes) -> None:
        """Move the marks past entries up to this one; for whoever claims alone.

        Their order is that of the offers, which need not be that of the numbers. So this ends at
        the first that is newer, or that was written after this process was forked.
        """
        for segment in self._used():
            entries = _inherited(segment)
            front = list(itertools.takewhile(last.__ge__, entries))
            segment.settle_first(front)
            if len(front) < len(entries):
                return

    def _used(self) -> list[Segment]:
        return list(self._segments.used) if self._segments is not None else []

    def close(self) -> None:
        """Remove all files: this process has taken back what no other has."""
        segments, self._segments = self._segments, None
        self._lost.clear()
        owner, self.owner = self.owner, None
        self.why_off, self._full_at, self._is_gone = "", -math.inf, False
        if segments is not None and owner is not None:
            for segment in (*segments.used, *segments.ready):
                segment.unlink()
            owner.keep(self._maps)
            self._maps.clear()
            owner.discard()


def _write(segments: Segments, entry: bytes, *, may_make: bool) -> bool:
    """Write an entry to the last segment, or to a further one; tell whether there was room."""
    with contextlib.suppress(ValueError):
        if segments.used:
            segments.used[-1].write(entry + b"\n")
            return True
    if not may_make:
        return False
    segments.room.ask_again()
    segment = segments.next(len(entry))
    if segment is None:
        return False
    segments.activate(segment)
    segment.write(entry + b"\n")
    return True


def _inherited(segment: Segment) -> list[bytes]:
    """Return the entries behind the mark that were there when this process was forked."""
    return segment.map[segment.mark : segment.position()].split(b"\n")[:-1]


def _is_locked(file: int) -> bool:
    deadline = monotonic() + _CLAIM_SECONDS
    while monotonic() < deadline:
        with contextlib.suppress(OSError):
            lock(file)
            return True
        time.sleep(0.002)
    return False
