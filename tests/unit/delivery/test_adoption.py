"""Held entries: offered, adopted once, or taken back."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

import pytest

from forklog.delivery.adoption import HeldEntries
from forklog.delivery.buffer import Buffer
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.handover import HandoverToken
from forklog.spool.held import Held
from forklog.spool.making import Making
from forklog.spool.parts.image import new_prefix
from forklog.stderr.reporter import StderrReporter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from forklog.delivery.base import Spooler


class _Spooler:
    """What held entries ask of a spool; its own has no room."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.new: set[bytes] = set()

    def take_in(self, new: Collection[bytes] = ()) -> None:
        """Take none in."""
        self.new = set(new)


class _Process:
    """A buffer with its held entries, as each process has one."""

    def __init__(self, ancestor: _Process | None = None) -> None:
        self.ids = InsertIds()
        self.buffer = Buffer(10_000, lambda: None)
        self.held: HeldEntries = HeldEntries(
            self.buffer, ancestor.held.inheritance() if ancestor else None, HandoverToken
        )

    def log(self, count: int) -> None:
        for _ in range(count):
            self.buffer.offer(2, b'%b%010x"}' % (self.ids.head, self.ids.number()))


def test_one_of_two_successors_adopts() -> None:
    """The first successor gets all held entries unchanged, the second none."""
    master = _Process()
    master.log(3)
    master.held.hold()
    first, second = _Process(master), _Process(master)
    assert first.held.adopt() == 3
    assert first.buffer.snapshot() == master.buffer.snapshot()
    assert second.held.adopt() == 0
    assert first.held.adopt() == 0, "once"
    master.held.stop_holding()


def test_a_successor_without_inheritance_adopts_nothing() -> None:
    """A process whose ancestor never held has nothing to adopt, and nothing to leave."""
    process = _Process(_Process())
    assert process.held.adopt() == 0
    assert process.held.inheritance() is None


def test_a_successor_that_never_logged_passes_the_inheritance_on() -> None:
    """A grandchild may adopt what its parent left untouched."""
    master = _Process()
    master.log(2)
    master.held.hold()
    assert _Process(_Process(master)).held.adopt() == 2
    master.held.stop_holding()


def test_what_is_held_later_is_for_others() -> None:
    """An successor that copied the buffer before more was held takes only what it has a copy of."""
    master = _Process()
    master.log(2)
    master.held.hold()
    early = _Process(master)
    early.held._inheritance = None
    copy = Buffer(10_000, lambda: None)
    for rank, entry in master.buffer.snapshot():
        copy.offer(rank, entry)
    inheritance = master.held.inheritance()
    assert inheritance is not None
    early.held._inheritance = inheritance._replace(buffer=copy)
    master.log(3)
    assert master.held.has_unheld()
    master.held.hold()
    assert not master.held.has_unheld()
    assert early.held.adopt() == 2
    assert _Process(master).held.adopt() == 3
    master.held.stop_holding()


def test_a_holder_that_stops_takes_back_what_is_left() -> None:
    """With no successor the entries are its own again; after an successor they are not."""
    alone = _Process()
    alone.log(3)
    alone.held.hold()
    alone.log(1)
    alone.held.stop_holding()
    assert len(alone.buffer) == 4

    parent = _Process()
    parent.log(3)
    parent.held.hold()
    assert _Process(parent).held.adopt() == 3
    parent.log(1)
    parent.held.stop_holding()
    assert len(parent.buffer) == 1
    parent.held.stop_holding()
    assert len(parent.buffer) == 1


def test_one_successor_accounts_for_what_an_overflow_has_dropped() -> None:
    """The one that adopts; the next one for what was dropped since then, and of that alone."""
    master = _Process()
    master.buffer.max_bytes = master.buffer.alarm_bytes = 1000
    for _ in range(2):
        _hold_each(master, 50)
        assert len(master.buffer) < 50
        first, second = _Process(master), _Process(master)
        first.held.adopt()
        second.held.adopt()
        assert first.held.take_overflow() == (50 - first.held.adopted, [])
        assert first.held.take_overflow() == second.held.take_overflow() == (0, [])
    master.held.stop_holding()


def _hold_each(process: _Process, count: int) -> None:
    for _ in range(count):
        process.log(1)
        process.held.hold()


def test_an_offer_that_a_later_number_has_overtaken() -> None:
    """It is held all the same, adopted, and taken back."""
    for is_held in (True, False):
        master = _Process()
        early, late = (b'%b%010x"}' % (master.ids.head, master.ids.number()) for _ in range(2))
        master.buffer.offer(2, late)
        master.held.hold()
        assert _Process(master).held.adopt() == 1
        master.buffer.offer(2, early)
        assert master.held.has_unheld()
        if is_held:
            master.held.hold()
            assert not master.held.has_unheld()
            assert _Process(master).held.adopt() == 1
        master.held.stop_holding()
        assert len(master.buffer) == (not is_held)


class _Lane(deque[bytes]):
    """A lane that counts how many of its entries are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._counted(super().__iter__())

    def __reversed__(self) -> Iterator[bytes]:
        return self._counted(super().__reversed__())

    def _counted(self, entries: Iterator[bytes]) -> Iterator[bytes]:
        for entry in entries:
            self.looks += 1
            yield entry


def _watch(buffer: Buffer) -> list[_Lane]:
    """Put lanes that count into an empty buffer."""
    lanes = [_Lane() for _ in buffer._lanes]
    buffer._lanes = tuple(lanes)
    buffer._append = tuple(lane.append for lane in lanes)
    return lanes


@pytest.mark.parametrize("max_bytes", [None, 64 << 10], ids=["without copies", "no room for all"])
def test_the_work_for_a_held_entry_does_not_grow(tmp_path: Path, max_bytes: int | None) -> None:
    """However many are held before it, and whether their copies have found room or not."""
    process, number = _Process(), 3000
    spooler = None
    if max_bytes is not None:
        make = Making(Options(project="p", spool=str(tmp_path / "spool")), lambda: ("p", "e"))
        spooler = _Spooler(Held(lambda: make.owner(new_prefix()), max_bytes, StderrReporter()))
    process.buffer = Buffer(1 << 20)
    process.held = HeldEntries(process.buffer, None, HandoverToken, cast("Spooler", spooler))
    lanes = _watch(process.buffer)
    for _ in range(number):
        process.log(1)
        assert process.held.has_unheld()
        process.held.hold()
    # Where there was no room, all that waits for it is looked at once a second.
    assert sum(lane.looks for lane in lanes) < 50 * number
    if spooler is not None:
        written = sum(len(segment.unsettled()) for segment in spooler.held._used())
        assert 0 < written < number
        assert spooler.held.unspooled == number - written
    process.held.stop_holding()
    assert len(process.buffer) == number


def test_a_successor_whose_spool_has_no_room_counts_what_has_no_copy(tmp_path: Path) -> None:
    """What the holder's copies have outlives a kill there, and is no loss to count."""
    make = Making(Options(project="p", spool=str(tmp_path / "spool")), lambda: ("p", "e"))
    held = Held(lambda: make.owner(new_prefix()), 64 << 10, StderrReporter())
    master, number = _Process(), 2000
    master.buffer = Buffer(1 << 20)
    spooler = _Spooler(held)
    master.held = HeldEntries(master.buffer, None, HandoverToken, cast("Spooler", spooler))
    master.log(number)
    master.held.hold()
    written = sum(len(segment.unsettled()) for segment in held._used())
    buffer, own = Buffer(1 << 20), _Spooler(held)
    inheritance = master.held.inheritance()
    entries = HeldEntries(buffer, inheritance, HandoverToken, cast("Spooler", own))
    assert entries.adopt() == number
    assert 0 < written < number
    assert len(own.new) == number - written
    master.held.stop_holding()
