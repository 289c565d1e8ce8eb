"""What other threads do to the segments while their files are begun anew, made to happen there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from heads import HEAD

from forklog.delivery.buffer import Buffer
from forklog.spool.folder import Folder
from forklog.spool.format import Head, segment_name
from forklog.spool.owner import Owner, new_prefix
from forklog.spool.segment import Segment
from forklog.spool.store import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_HEAD = Head(**HEAD)  # type: ignore[arg-type]
_ENTRIES = [b"%d" % number for number in range(9)]


def _owner(path: Path) -> Owner:
    return Owner(Folder(str(path), 2**30), new_prefix(), _HEAD)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the folder."""
    return tmp_path / "spool"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    """Open a spool with a few entries in it."""
    made = Spool(Buffer(2**20), 0, 2**26, lambda: None, lambda: True)
    made.open(_owner(path))
    for entry in _ENTRIES:
        made.offer(0, entry)
    yield made
    made.settle(len(taken(made)), is_last=True)
    made.leave()


def taken(spool: Spool) -> list[bytes]:
    """Take all entries that wait."""
    into: list[bytes] = []
    spool.take(into, 1000, 2**26)
    return into


class _Seen(Segment):
    """A segment that has something happen whenever it is asked whether it is lost."""

    __slots__ = ("_is_lost", "happens")

    def __init__(self, name: str, folder: Folder, number: int, size: int) -> None:
        self.happens: Callable[[], object] = lambda: None
        super().__init__(name, folder, number, size)

    @property  # type: ignore[override]
    def is_lost(self) -> bool:
        self.happens()
        return self._is_lost

    @is_lost.setter
    def is_lost(self, is_lost: bool) -> None:
        self._is_lost = is_lost


class _Watched(Owner):
    """An owner whose segments are `_Seen`."""

    def __init__(self, path: Path, happens: Callable[[], object]) -> None:
        super().__init__(Folder(str(path), 2**30), new_prefix(), _HEAD)
        self._happens = happens

    def new_segment(self, size: int) -> Segment:
        number = next(self._numbers)
        made = _Seen(segment_name(self.prefix, number), self.folder, number, size)
        made.happens = self._happens
        return made


def test_a_roll_while_lost_segments_are_counted(spool: Spool, path: Path) -> None:
    """A log call that begins a segment meanwhile does not end the thread that looks."""
    segments = spool._segments
    assert segments is not None
    rolls = 3

    def roll() -> None:
        nonlocal rolls
        if rolls:
            rolls -= 1
            segments.activate(segments.new())

    assert spool.restart(_Watched(path, roll))
    assert not rolls
    assert taken(spool) == _ENTRIES
