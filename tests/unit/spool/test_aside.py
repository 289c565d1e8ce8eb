"""Copies of what was set aside, where the spool has no room for anything else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few
from heads import FITS, HEAD

from forklog.delivery.buffer import Buffer
from forklog.insert_id import InsertIds
from forklog.spool.adopter import Adopter
from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES
from forklog.spool.head import Head
from forklog.spool.left.adoption import Sums
from forklog.spool.owner import Owner
from forklog.spool.parts.image import image, new_prefix
from forklog.spool.store import Spool
from forklog.transports.base import Envelope, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_IDS = InsertIds()


def _entry(text: str) -> bytes:
    return _IDS.opening() + b'","timestamp":"","textPayload":"%b"}' % text.encode()


def _spool(folder: Folder, number: int = 2) -> Spool:
    """Open a spool with room for so many segments: one, and the copies of what is set aside."""
    made = Spool(Buffer(2**20), 7, number * SEGMENT_BYTES[0], lambda: None, lambda: False)
    own = Folder(folder.path, 2**30)
    made.open(Owner(own, new_prefix(), Head(**HEAD)))  # type: ignore[arg-type]
    return made


def _put_aside(spool: Spool, entries: list[bytes], others: list[bytes]) -> None:
    """Put some entries aside and deliver others, which are taken with them."""
    for entry in (*entries, *others):
        spool.offer(2, entry)
    spool.take(taken := [], len(entries) + len(others), 2**20)
    for _ in entries:
        spool.put_aside(2, taken)
    spool.settle(sum(map(len, others)), is_last=True)


def _fill(spool: Spool) -> list[bytes]:
    """Offer entries until the spool has no room for one; return them."""
    filling: list[bytes] = []
    while not spool.unspooled:
        filling.append(_entry("x" * 500))
        spool.offer(2, filling[-1])
    return filling


def _give_up(spool: Spool, entries: list[bytes]) -> None:
    """Give up what was taken and what is in memory, as the sender does at an end."""
    spool.drain(entries)
    spool.keep(entries)
    spool.settle(sum(map(len, entries)), is_last=True)


def _on_disk(folder: Folder) -> set[bytes]:
    """Return what would outlive a kill, and what is settled."""
    files = [path.read_bytes() for path in Path(folder.path).glob("*.log")]
    return {line for content in files for line in content[64:].replace(b"\0", b"").split(b"\n")}


def _file_bytes(folder: Folder) -> int:
    return sum(path.stat().st_size for path in Path(folder.path).glob("*.log"))


def _adopted(folder: Folder, number: int) -> list[bytes]:
    """Return what another process sends."""
    got: list[bytes] = []

    def send(entries: Sequence[bytes], _: Envelope) -> Verdict:
        got.extend(entries)
        return Verdict(Kind.DELIVERED)

    adopter = Adopter(folder, image(), FITS, number, 2**20, lambda *_: None, Sums())
    for _ in range(9):
        adopter._last_scan -= 9
        adopter.pass_once(send)
    adopter.close()
    return got


def test_what_has_no_place_but_its_copy_is_left(folder: Folder) -> None:
    """A spool is full at its end: what was set aside long ago stands in its copy, and is found."""
    spool = _spool(folder)
    aside = [_entry(text + "x" * 999) for text in ("first", "settled", "last")]
    _put_aside(spool, aside, [_entry("other")])
    spool.take_aside(taken := [], 2)
    spool.take_aside(taken, 2)
    spool.settle(len(taken.pop()))  # delivered after all
    filling = _fill(spool)
    _give_up(spool, taken)
    assert taken == filling[-1:]
    left = [aside[0], aside[2], *filling[:-1]]
    assert (len(spool), spool.bytes) == (len(left), sum(map(len, left)))
    assert spool.leave() == len(left)
    assert set(left) <= set(_adopted(folder, len(left)))


def test_what_has_no_place_but_its_copy_is_sent(folder: Folder) -> None:
    """A process that goes on after that takes it from its copy, once, and removes the copy."""
    spool = _spool(folder)
    aside = [_entry(text + "x" * 999) for text in ("first", "settled", "last")]
    _put_aside(spool, aside, [_entry("other")])
    spool.take_aside(taken := [], 2)
    spool.settle(len(taken.pop()))
    filling = _fill(spool)
    _give_up(spool, [])
    spool.take(taken, 10**6, 2**30)
    assert b"".join(taken) == b"".join([*aside[1:], *filling[:-1]])
    spool.settle(sum(map(len, taken)), is_last=True)
    spool.tidy()
    assert (len(spool), spool.bytes, spool.has_waiting()) == (0, 0, False)
    assert len([name for name in folder.names() if name.endswith(".log")]) == 2
    assert spool.leave() == 0


@pytest.mark.parametrize("staying", few([0, 60, 179], 60))
def test_copies_of_what_is_not_aside_any_more_are_removed(folder: Folder, staying: int) -> None:
    """One entry that stays aside keeps no room from new ones, wherever its copy stands."""
    spool = _spool(folder, 16)
    aside = [_entry(f"{number}" + "x" * 1000) for number in range(180)]
    for number in range(0, 180, 10):
        _put_aside(spool, aside[number : number + 10], [_entry("other")])
        spool.tidy()
    before = _file_bytes(folder)
    for entry in aside:
        spool.take_aside(taken := [], 2)
        if entry == aside[staying]:
            spool.put_aside(2, taken)
        spool.settle(sum(map(len, taken)), is_last=True)
        assert aside[staying] in _on_disk(folder)
    assert not spool.unspooled
    assert _file_bytes(folder) == before - 2 * SEGMENT_BYTES[0]
    spool.take_aside(taken := [], 2)
    assert taken == [aside[staying]]
    spool.settle(spool.bytes, is_last=True)
    assert spool.leave() == 0


def test_copies_stay_where_new_ones_have_no_room(folder: Folder) -> None:
    """A full spool removes none that is needed, and makes room where it can."""
    spool = _spool(folder, 3)
    aside = [_entry(f"{number}" + "x" * 1000) for number in range(90)]
    for number in range(0, 90, 10):
        _put_aside(spool, aside[number : number + 10], [_entry("other")])
    _fill(spool)
    staying = {aside[0], aside[-1]}
    for entry in aside:
        spool.take_aside(taken := [], 2)
        if entry in staying:
            spool.put_aside(2, taken)
        spool.settle(sum(map(len, taken)), is_last=True)
        assert staying <= _on_disk(folder)
    assert spool.count_aside() == 2
    _give_up(spool, [])
    assert spool.leave()
    assert staying <= set(_adopted(folder, 1000))
