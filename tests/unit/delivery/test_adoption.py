"""Held entries: offered, adopted once, or taken back."""

from __future__ import annotations

from forklog.delivery.adoption import HeldEntries
from forklog.delivery.buffer import Buffer
from forklog.insert_id import InsertIds
from forklog.process.handover import HandoverToken


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
