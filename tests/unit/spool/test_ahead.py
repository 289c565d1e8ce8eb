"""Entries of a segment that are taken before their turn, so that culprits hold up none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from cases import further
from heads import HEAD

from forklog.delivery.buffer import Buffer
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.sender import Sender
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES
from forklog.spool.head import Head
from forklog.spool.owner import Owner
from forklog.spool.parts.image import new_prefix
from forklog.spool.parts.segment import Segment
from forklog.spool.store import Spool
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Connection, Kind, Verdict

_IDS = InsertIds()


def _entry(text: str) -> bytes:
    return _IDS.opening() + b'","textPayload":"%b"}' % text.encode()


def _spool(path: Path) -> Spool:
    owner = Owner(Folder(str(path), 2**30), new_prefix(), Head(**HEAD))  # type: ignore[arg-type]
    made = Spool(Buffer(2**20), 0, 2**26, lambda: None, lambda: True)
    made.open(owner)
    return made


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Open a spool; what the test leaves in it is removed."""
    made = _spool(tmp_path / "spool")
    yield made
    rest: list[bytes] = []
    made.take(rest, 10**6, 2**30)
    made.settle(made.bytes, is_last=True)
    assert made.leave() == 0


class _Wire:
    """Refuses whatever holds a culprit."""

    def __init__(self) -> None:
        self.requests = 0
        self.stored: list[bytes] = []
        self.is_open = False

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        self.requests += 1
        if not self.is_open and any(b'"culprit' in entry for entry in entries):
            return Verdict(Kind.BLOCKED, "403")
        self.stored += entries
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("is_early", "number"),
    [
        (False, 400),
        (True, 700),
        (False, 3000),
        *further((True, 400), (False, 700), (True, 3000)),
    ],
)
def test_culprits_before_all_others_let_them_pass(
    spool: Spool, number: int, *, is_early: bool
) -> None:
    """Each of many records is refused, more than may be in flight: what is behind them passes.

    Closes the class: a store that gives its entries in their order alone.
    """
    wire, report = _Wire(), StderrReporter(lambda _line: None)
    options = Options(max_buffer_bytes=2**20)
    sender = Sender(options, spool, wire, report, lambda: 1.0)
    logged = [_entry("first")] * is_early
    if is_early:
        spool.offer(2, logged[0])
        sender.send_once()
    for text in (*["culprit" + "x" * 1000] * number, *["good" + "x" * 1000] * 200):
        logged.append(_entry(text))
        spool.offer(2, logged[-1])
    waited, good = 0.0, 0
    while good < 100 and wire.requests < 600:
        if sender.send_once() is SendResult.LATER:
            waited += sender.delay
        good = sum(b'"good' in entry for entry in wire.stored)
        stats = sender.ledger.snapshot(spool, pid=0, state="")
        settled = stats.delivered + sum(stats.dropped.values())
        assert stats.accepted == len(logged) == settled + stats.pending
    assert good == 100
    assert waited < 20 * 60
    assert len(set(wire.stored)) == len(wire.stored)
    assert spool._segments is not None
    found = {entry for segment in spool._segments.used for entry in segment.unsettled()}
    assert set(logged) - set(wire.stored) <= found, "a kill would lose them"
    sender.give_up("closed")  # has no place to write to: all goes back to the spool
    stats = sender.ledger.snapshot(spool, pid=0, state="")
    settled = stats.delivered + sum(stats.dropped.values())
    assert stats.accepted == len(logged) == settled + stats.pending
    wire.is_open = True
    while sender.send_once() is not SendResult.IDLE:
        continue
    assert len(set(wire.stored)) == len(wire.stored)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_taken_before_its_turn_is_taken_once(folder: Folder, seed: int) -> None:
    """Counts and bytes are exact, and all that is not settled stands behind the mark."""
    random, into = Random(seed), []  # noqa: S311 - no secret
    segment = Segment("x", folder, 0, SEGMENT_BYTES[0])
    segment.open([])
    waiting: list[bytes] = []
    unsettled: set[bytes] = set()
    for number in range(400):
        step = random.randrange(8)
        if step < 3:
            waiting.append(_entry(str(number)))
            segment.write(waiting[-1] + b"\n")
            unsettled.add(waiting[-1])
        elif step < 5:
            size = segment.take_newest(into)
            assert size == (len(waiting[-1]) if waiting else 0)
            assert into[-1:] == waiting[-1:]
            del waiting[-1:], into[:]
        elif step < 6:
            entries, end = segment.read(random.randrange(1, 5), random.randrange(1, 500))
            assert segment.move(into, entries, end) == sum(map(len, into))
            assert into == waiting[: len(into)]
            del waiting[: len(into)], into[:]
        elif step < 7:
            segment.settle()
            unsettled = set(segment.unsettled())
        elif not number % 5:
            before = set(waiting)
            taken = [entry for entry in segment.unsettled() if entry not in before]
            back = {entry for entry in taken if random.randrange(3)}
            assert segment.give_back(back) == sum(map(len, back))
            waiting = [entry for entry in segment.unsettled() if entry in before | back]
        assert (segment.count(), segment.first()) == (len(waiting), (waiting or [b""])[0])
        assert (segment.waiting(), segment.has_waiting()) == (waiting, bool(waiting))
        assert segment.taken not in segment.ahead, "what tells the first one would search for it"
        assert set(waiting) <= set(segment.unsettled()) == unsettled
    segment.seal()
    segment.move(into, *segment.read(10**6, 2**20))
    segment.settle()
    assert (into, segment.is_done()) == (waiting, True)
    segment.unlink()


def _without_files(spool: Spool) -> Owner:
    """Remove all files of a spool, and have it notice; return who owned them."""
    assert spool._segments is not None
    owner = spool._segments.owner
    for path in Path(owner.folder.path).iterdir():
        path.unlink()
    assert not spool.is_found()
    return owner


def test_what_was_taken_before_its_turn_is_so_in_new_files(tmp_path: Path, spool: Spool) -> None:
    """Where a program removes the files, copies of the segments know it; no entry is sent twice."""
    entries = [_entry(str(number)) for number in range(9)]
    for entry in entries:
        spool.offer(2, entry)
    taken: list[bytes] = []
    spool.take(taken, 2, 2**20)
    spool.take_newest(taken)
    spool.take_newest(taken)
    before = _without_files(spool)
    spool.pause()
    head = Head(**HEAD)  # type: ignore[arg-type]
    assert spool.restart(Owner(Folder(str(tmp_path / "spool"), 2**30), new_prefix(), head))
    assert (len(spool), spool.count_spooled(), spool.oldest()) == (5, 5, entries[2])
    spool.take(taken, 100, 2**20)
    assert taken == [*entries[:2], *entries[:6:-1], *entries[2:7]]
    assert (len(spool), spool.spooled_bytes) == (0, 0)
    before.discard()


class _Sealed(Owner):
    """An owner of whose segments another thread seals the second one while it is written to."""

    made = 0

    def new_segment(self, size: int) -> Segment:
        segment, self.made = super().new_segment(size), self.made + 1
        if self.made == 2:
            genuine, written = segment.write, 0

            def write(entry: bytes) -> int:
                nonlocal written
                written += 1
                if written == 2:
                    segment.seal()
                return genuine(entry)

            segment.write = write
        return segment


def test_a_copy_that_is_sealed_before_it_has_all(tmp_path: Path, spool: Spool) -> None:
    """It knows nothing of an entry that it has not; what waits in it waits, and is counted.

    Closes the class: a note of an entry that was taken, where the entry is not.
    """
    entries = [_entry(str(number)) for number in range(2)]
    for entry in entries:
        spool.offer(2, entry)
    taken: list[bytes] = []
    spool.take_newest(taken)
    before = _without_files(spool)
    head = Head(**HEAD)  # type: ignore[arg-type]
    assert not spool.restart(_Sealed(Folder(str(tmp_path / "spool"), 2**30), new_prefix(), head))
    assert spool.rescue()
    assert (len(spool), spool.has_waiting(), spool.oldest()) == (1, True, entries[0])
    spool.take(taken, 100, 2**20)
    assert taken == entries[::-1]
    assert not spool.has_waiting()
    before.discard()
