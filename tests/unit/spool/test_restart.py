"""What other threads do to the segments while their files are begun anew, made to happen there."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from heads import HEAD, put
from helpers import wait_until

from forklog.delivery.buffer import Buffer
from forklog.spool.folder import Folder, FullError
from forklog.spool.format import prefix_of_segment, segment_name
from forklog.spool.head import Head
from forklog.spool.left.tidy import remove_headless
from forklog.spool.owner import Owner
from forklog.spool.parts.image import new_prefix
from forklog.spool.parts.segment import Segment
from forklog.spool.segments import Segments
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


class _Busy(Owner):
    """An owner that makes its first segment while something else happens."""

    def __init__(self, path: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(Folder(str(path), 2**30), new_prefix(), _HEAD)
        self._meanwhile = [meanwhile]

    def new_segment(self, size: int) -> Segment:
        while self._meanwhile:
            self._meanwhile.pop()()
        return super().new_segment(size)


def _reserved(spool: Spool) -> int:
    assert spool._segments is not None
    return 2**26 - spool._segments.room.left


def _sizes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("*.log"))


def test_a_log_call_while_a_paused_spool_begins_anew(spool: Spool, path: Path) -> None:
    """The segment that it makes is one of the new owner, which gives room and file back."""
    spool.pause()
    assert spool.restart(_Busy(path, lambda: spool.offer(0, b"new")))
    assert spool._segments is not None
    assert _reserved(spool) == sum(segment.size for segment in spool._segments.used)
    assert taken(spool) == [*_ENTRIES, b"new"]


def test_a_log_call_that_takes_a_ready_segment_while_the_spool_begins_anew(
    spool: Spool, path: Path
) -> None:
    """What it writes there gets into the new files as well."""
    segments = spool._segments
    assert segments is not None
    segments.ready.append(segments.new())

    def write() -> None:
        segment = segments.ready.popleft()
        segments.activate(segment)
        segment.write(b"late\n")

    owner = _Busy(path, write)
    assert spool.restart(owner)
    assert {prefix_of_segment(segment.name) for segment in segments.used} == {owner.prefix}
    assert taken(spool) == [*_ENTRIES, b"late"]


def test_a_ready_segment_where_there_is_no_room_to_begin_anew(spool: Spool, path: Path) -> None:
    """A pause removes it; until then it is among the others."""
    segments = spool._segments
    assert segments is not None
    segments.ready.append(segments.new())

    def fail() -> None:
        raise FullError("full")

    before = _sizes(path)
    with pytest.raises(FullError):
        spool.restart(_Busy(path, fail))
    ready = segments.ready[0].size
    spool.pause()
    assert _sizes(path) == before - ready
    assert _reserved(spool) == _sizes(path)


def test_a_ready_segment_is_removed_with_its_owner(spool: Spool, path: Path) -> None:
    """It is empty, and without a head no process would remove it for a week."""
    segments = spool._segments
    assert segments is not None
    segments.ready.append(segments.new())
    name = segments.ready[0].name
    assert spool.restart(_owner(path))
    assert not (path / name).exists()
    assert not segments.ready


class _Raced(deque[Segment]):
    """Ready segments, of which a log call takes the last one before whoever wants it."""

    def pop(self) -> Segment:  # type: ignore[override]
        self.popleft().unlink()
        return super().pop()


def test_a_log_call_takes_a_ready_segment_before_a_pause_removes_it(spool: Spool) -> None:
    """The thread that pauses goes on."""
    segments = spool._segments
    assert segments is not None
    segments.ready = _Raced([segments.new()])
    spool.pause()
    assert not segments.ready


def test_a_log_call_takes_a_ready_segment_that_came_after_the_end(path: Path) -> None:
    """The thread that has made it goes on."""

    def end() -> None:
        segments.seal()

    segments = Segments(_Busy(path, end), 2**26, [])
    segments.ready = _Raced()
    segments.prepare()
    assert not segments.ready
    segments.leave()


def test_a_segment_that_another_process_has_removed(folder: Folder) -> None:
    """The others that have no head are removed all the same."""
    prefix = new_prefix()
    put(folder, segment_name(prefix, 1), b"")
    put(folder, segment_name(prefix, 2), b"")

    class Late(Folder):
        def names(self, *, is_measured: bool = True) -> list[str]:
            return [segment_name(prefix, 0), *super().names(is_measured=is_measured)]

    late = Late(folder.path, 2**30)
    remove_headless(late, prefix)
    late.close()
    assert folder.names() == []


def test_the_files_of_a_former_owner_make_room_for_their_copies(spool: Spool, path: Path) -> None:
    """Each is removed once new ones have what it held."""
    owner = _owner(path)
    assert spool.restart(owner)
    assert {prefix_of_segment(file.name) for file in path.glob("*.log")} == {owner.prefix}
    assert taken(spool) == _ENTRIES


class _Small(Owner):
    """An owner in a folder that has no room for more than a first segment, until it has."""

    has_room = False

    def check_room(self, size: int, *, is_first: bool = False) -> None:
        if not (is_first or self.has_room):
            raise FullError("full")
        super().check_room(size, is_first=is_first)


def test_what_was_put_aside_waits_for_room(spool: Spool, path: Path) -> None:
    """It is copied once there is some, although nothing else waits."""
    aside = taken(spool)[:3]
    for entry in aside:
        spool.put_aside(0, [entry])
    spool.settle(0, is_last=True)
    owner = _Small(Folder(str(path), 2**30), new_prefix(), _HEAD)
    assert not spool.restart(owner)
    assert not spool.rescue()
    owner.has_room = True
    wait_until(spool.rescue)
    (copy,) = (file for file in path.glob(f"*{owner.prefix}*.log") if b"0\n" in file.read_bytes())
    assert b"\n".join(aside) in copy.read_bytes()
    assert {prefix_of_segment(file.name) for file in path.glob("*.log")} == {owner.prefix}
    assert _reserved(spool) == _sizes(path)
    spool.keep(aside)
    assert aside == []
