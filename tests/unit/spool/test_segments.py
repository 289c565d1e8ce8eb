"""The bound of a process's segments, whichever threads make them."""

from __future__ import annotations

import contextlib
import errno
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from heads import HEAD
from helpers import wait_until

from forklog.delivery.buffer import Buffer
from forklog.spool.format import SEGMENT_BYTES
from forklog.spool.head import Head
from forklog.spool.owner import Owner
from forklog.spool.parts.image import new_prefix
from forklog.spool.parts.room import Room
from forklog.spool.parts.segment import Segment
from forklog.spool.segments import Segments
from forklog.spool.store import Spool

if TYPE_CHECKING:
    import pytest

    from forklog.spool.folder import Folder

_THREADS = 6


class _Meeting(Owner):
    """An owner whose look at the folder returns once all threads have come so far, or failed."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder, new_prefix(), Head(**HEAD))  # type: ignore[arg-type]
        self.come: list[int] = []

    def check_room(self, size: int, *, is_first: bool = False) -> None:
        self.come.append(size)
        wait_until(lambda: len(self.come) == _THREADS, 30)
        super().check_room(size, is_first=is_first)


def test_threads_that_roll_at_once_keep_to_the_bound(folder: Folder) -> None:
    """Each asks for a segment before another has made its own: no more are made than fit."""
    owner = _Meeting(folder)
    segments = Segments(owner, 3 * SEGMENT_BYTES[0], [])

    def roll() -> None:
        try:
            segments.new(is_first=True)
        except OSError:
            owner.come.append(0)

    threads = [threading.Thread(target=roll) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    made = [path.stat().st_size for path in Path(folder.path).glob("*.log")]
    assert made == [SEGMENT_BYTES[0]] * 3
    for path in Path(folder.path).glob("*.log"):
        path.unlink()
    owner.remove()


class _Limited(Owner):
    """An owner whose disk has room for segments up to a size."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder, new_prefix(), Head(**HEAD))  # type: ignore[arg-type]
        self.largest = SEGMENT_BYTES[-1]

    def check_room(self, size: int, *, is_first: bool = False) -> None:
        if size > self.largest:
            raise OSError(errno.ENOSPC, "no room")
        super().check_room(size, is_first=is_first)


class _Refused:
    """Segments of which the active one is written beyond its half; the next would be large."""

    def __init__(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("forklog.spool.parts.room.monotonic", lambda: self.now)
        self.owner = _Limited(folder)
        self.segments = Segments(self.owner, 64 * SEGMENT_BYTES[-1], [])
        self.segments.activate(first := self.segments.new(is_first=True))
        while first.position() <= first.size // 2:
            first.write(_entry("x" * 1000))
        self.segments._made = len(SEGMENT_BYTES)

    def ready(self) -> list[int]:
        """Return the sizes of the segments that are ready, after some seconds of flushes."""
        for _ in range(25):
            self.now += 0.2
            self.segments.prepare()
        return [segment.size for segment in self.segments.ready]

    def remove(self) -> None:
        for path in Path(self.owner.folder.path).glob("*.log"):
            path.unlink()
        self.owner.remove()


def _entry(text: str) -> bytes:
    return b'{"insertId":"%029x","timestamp":"%b\n' % (len(text), text.encode())


def test_one_segment_is_ready_whatever_was_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full and free by turns adds none to one that is large enough."""
    refused = _Refused(folder, monkeypatch)
    assert refused.ready() == [SEGMENT_BYTES[-1]]
    for number in range(3):
        refused.owner.largest = 0
        with contextlib.suppress(OSError):
            refused.segments.put_aside(_entry("x" * (SEGMENT_BYTES[0] - 1000 + number)))
        assert refused.segments.room.has_refused()
        refused.owner.largest = SEGMENT_BYTES[-1]
        assert refused.ready() == [SEGMENT_BYTES[-1]]
    refused.remove()


def test_a_larger_segment_is_tried_beside_a_small_one(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the size that there is room for, where there is none for the largest."""
    refused = _Refused(folder, monkeypatch)
    for number, size in enumerate(SEGMENT_BYTES, 1):
        refused.owner.largest = size
        assert refused.ready() == list(SEGMENT_BYTES[:number])
    refused.remove()


def test_room_is_given_back() -> None:
    """What is free again can be reserved again; what never was reserved frees nothing."""
    room = Room(100)
    assert [room.reserve(60), room.reserve(60), room.reserve(40), room.left] == [1, 0, 1, 0]
    room.give_back(60)
    room.give_back(60)
    assert room.left == 60
    assert room.reserve(60)
    assert not room.reserve(1)


def test_a_mark_that_another_process_has_moved(folder: Folder) -> None:
    """It goes to where the settled entries end, once, and never back."""
    segment = Segment("x", folder, 0, SEGMENT_BYTES[0])
    segment.open([])
    entries = [b'{"insertId":"%029x"}' % number for number in range(4)]
    for entry in entries:
        segment.write(entry + b"\n")
    segment.settle_first(entries[:2])
    for seen_before in (entries[:1], entries[:2]):
        segment.settle_first(seen_before)
        assert segment.unsettled() == entries[2:]
    segment.settle_first(entries[:3])
    assert segment.unsettled() == entries[3:]
    segment.unlink()


def test_what_a_worker_takes_over_without_room_is_counted(folder: Folder) -> None:
    """Once, and alone what is new to the spool: the rest was counted when it was logged."""
    lanes = Buffer(2**20)
    spool = Spool(lanes, 0, 2**20, lambda: None, lambda: True)
    spool.open(Owner(folder, new_prefix(), Head(**HEAD)))  # type: ignore[arg-type]
    number = 0
    while not spool.unspooled:
        spool.offer(0, b"%d " % number + b"x" * 1000)
        number += 1
    new = [b"%d " % number + b"y" * 5000 for number in range(3)]
    for entry in new:
        lanes.offer(0, entry)
    spool.take_in(new)
    assert spool.unspooled == 4
    spool.take_in()
    assert spool.unspooled == 4
    spool.take([], 2 * number, 2**30)
    spool.settle(0, is_last=True)
    spool.leave()
