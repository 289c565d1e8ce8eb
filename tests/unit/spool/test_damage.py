"""Whatever became of the pages of a dead process's files, all whole entries are sent."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from heads import FITS, HEAD, put
from hypothesis import given, settings
from hypothesis import strategies as st

from forklog.options import Options
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.recovery.spools import recover_spools
from forklog.spool.folder import Folder
from forklog.spool.format import (
    HEADER_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    mark_bytes,
    repairs_of_header,
    segment_header,
    segment_name,
)
from forklog.spool.left.refused import copy_behind
from forklog.spool.scan import scan
from forklog.transports.base import Envelope, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PREFIX = "0123456789abcdef012"
_HEAD_NAME = f"forklog-{_PREFIX}-00000000.head"
_PAGE = 512  # of some disks; the header is in the first one
_SIZE = SEGMENT_BYTES[0]


def _entry(number: int, length: int = 300) -> bytes:
    begin = b'{"insertId":"%029x","timestamp":"2026-01-01T00:00:00Z"' % number
    return begin + b',"textPayload":"%b"}' % (b"x" * length)


def _segment(entries: Sequence[bytes], settled: int = 0) -> bytes:
    """Return the bytes of a segment, of which the first entries are settled."""
    content = bytearray(segment_header(0, _SIZE) + b"".join(entry + b"\n" for entry in entries))
    mark, at = mark_bytes(HEADER_BYTES + sum(len(entry) + 1 for entry in entries[:settled]))
    content[at : at + len(mark)] = mark
    return bytes(content).ljust(_SIZE, b"\0")


def _damaged(content: bytes, blows: Sequence[tuple[str, int]]) -> bytes:
    changed = bytearray(content)
    for kind, page in blows:
        part = slice(page * _PAGE, (page + 1) * _PAGE)
        if kind == "cut":
            del changed[page * _PAGE :]
        elif kind == "zero":
            changed[part] = bytes(len(changed[part]))
        else:
            changed[part] = bytes(byte ^ 0xAA for byte in changed[part])  # no text any more
    return bytes(changed)


def _whole(content: bytes, damaged: bytes, entries: Sequence[bytes]) -> list[bytes]:
    """Return the entries of which no byte has changed, nor of the newlines around them."""
    at, found = HEADER_BYTES, []
    for entry in entries:
        around = slice(at - (at > HEADER_BYTES), at + len(entry) + 1)
        if damaged[around] == content[around]:
            found.append(entry)
        at += len(entry) + 1
    return found


def _put(folder: Folder, *segments: bytes) -> None:
    put(folder, _HEAD_NAME, orjson.dumps(HEAD))
    for number, content in enumerate(segments):
        put(folder, segment_name(_PREFIX, number), content)


def _taken(folder: Folder, most: int, stop: Callable[[], str]) -> list[bytes]:
    """Settle all that a folder's orphan holds, by adopters that may stop after each batch."""
    found: list[bytes] = []
    for _ in range(200):
        orphans = scan(folder, "11111111", set(), FITS).orphans
        if not orphans:
            return found
        (orphan,) = orphans
        while batch := orphan.batch(most, 10_000):
            found += batch
            orphan.settle(len(batch))
            how = stop()
            if how == "rest":
                orphan.unload()
            elif how == "kill":
                break
        if not batch and orphan.is_empty() and not orphan.refused:
            orphan.remove()
        else:
            orphan.close()
    raise AssertionError(f"no end: {folder.names()}")


_BLOWS = st.lists(
    st.tuples(st.sampled_from(["cut", "zero", "flip"]), st.one_of(st.just(0), st.integers(0, 40))),
    min_size=1,
    max_size=3,
)
_LENGTHS = st.lists(st.integers(0, 900), max_size=40)


_STOPS = st.lists(st.sampled_from(["go on", "rest", "kill"]), max_size=10)


@given(_LENGTHS, st.integers(0, 40), _BLOWS, st.integers(1, 20), _STOPS)
@settings(max_examples=150, deadline=None)
def test_an_adopter_finds_all_that_is_whole(
    lengths: list[int], settled: int, blows: list[tuple[str, int]], most: int, stops: list[str]
) -> None:
    """It finds each once, over any number of adopters; and goes on behind the damaged file."""
    entries = [_entry(*item) for item in enumerate(lengths)]
    settled = min(settled, len(entries))
    content, last = _segment(entries, settled), _entry(1000)
    damaged = _damaged(content, blows)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        folder = Folder(f"{place}/spool", 2**30)
        _put(folder, damaged, _segment([last]))
        found = _taken(folder, most, lambda: stops.pop() if stops else "go on")
        left = folder.names()
        folder.close()
    assert [name for name in left if not name.endswith(".log.bad")] == []
    is_lost = damaged[:HEADER_BYTES] != content[:HEADER_BYTES]
    wanted = [entry for entry in _whole(content, damaged, entries) if entry in entries[settled:]]
    assert Counter([*wanted, last]) <= Counter(found)
    assert Counter(found) <= Counter([*(entries if is_lost else entries[settled:]), last])


class _Delivering(Sending):
    """Takes what it is given."""

    def __init__(self, *, is_dry_run: bool = False) -> None:
        super().__init__(Options(project="p"), is_dry_run=is_dry_run)
        self.got: list[bytes] = []

    def send(self, batch: Sequence[bytes], envelope: Envelope) -> Verdict:
        assert envelope.log_name == HEAD["log_name"]
        self.got += batch
        return Verdict(Kind.DELIVERED)


def _recovered(folder: Folder, *, is_dry_run: bool = False) -> tuple[list[bytes], Outcome]:
    sending = _Delivering(is_dry_run=is_dry_run)
    outcome = Outcome(folder.path, is_dry_run=is_dry_run)
    recover_spools(folder, Options(project="p"), sending, outcome)
    return sending.got, outcome


def _contents(folder: Folder) -> dict[str, Any]:
    return {path.name: path.read_bytes() for path in Path(folder.path).iterdir()}


@given(_LENGTHS, _BLOWS)
@settings(max_examples=60, deadline=None)
def test_a_recovery_sends_all_that_is_whole(
    lengths: list[int], blows: list[tuple[str, int]]
) -> None:
    """A dry run counts the same, and changes no byte."""
    entries = [_entry(*item) for item in enumerate(lengths)]
    content = _segment(entries)
    damaged = _damaged(content, blows)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        folder = Folder(f"{place}/spool", 2**30)
        put(folder, _HEAD_NAME, orjson.dumps({**HEAD, "endpoint": _ENDPOINT}))
        put(folder, segment_name(_PREFIX, 0), damaged)
        before = _contents(folder)
        nothing, dry = _recovered(folder, is_dry_run=True)
        assert _contents(folder) == before
        found, outcome = _recovered(folder)
        folder.close()
    assert nothing == []
    assert (dry.left, dry.torn) == (outcome.sent, outcome.torn)
    assert Counter(_whole(content, damaged, entries)) <= Counter(found) <= Counter(entries)


_ENDPOINT = "https://logging.googleapis.com"


@pytest.mark.parametrize(
    "first_bytes", [bytes(HEADER_BYTES), b"\xff" * HEADER_BYTES], ids=["zero", "other"]
)
@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_kill_while_a_header_is_made_anew(folder: Folder, first_bytes: bytes, done: int) -> None:
    """Before its last step all entries are found again, from then on those behind the mark."""
    entries = [_entry(number) for number in range(20)]
    content = bytearray(first_bytes + _segment(entries)[HEADER_BYTES:])
    mark = HEADER_BYTES + 5 * (len(entries[0]) + 1)
    for part, at in repairs_of_header(mark, len(content))[:done]:
        content[at : at + len(part)] = part
    _put(folder, bytes(content))
    assert _taken(folder, 7, lambda: "") == entries[5 if done == 2 else 0 :]


@pytest.mark.parametrize("length", [HEADER_BYTES, _SIZE // 2, _SIZE, _SIZE + 1, SEGMENT_BYTES[-1]])
def test_a_header_that_is_made_anew_holds_the_file(length: int) -> None:
    """Its size is one of those there are, and no less than that of the file."""
    (rest, at), (magic, start) = repairs_of_header(HEADER_BYTES, length)
    assert (magic, start, at) == (MAGIC, 0, len(MAGIC))
    assert len(magic + rest) == HEADER_BYTES
    size = int.from_bytes(rest[16:24], "little")
    assert size in {_SIZE, 256 * 1024, 512 * 1024, SEGMENT_BYTES[-1]}
    assert size >= length


def test_a_copy_goes_behind_a_lost_page(folder: Folder) -> None:
    """The NULs of a page that a disk has lost are no room: whole entries stand behind it."""
    entries = [_entry(number) for number in range(40)]
    content = _segment(entries)
    damaged = _damaged(content, [("zero", 4)])
    _put(folder, _segment([]), damaged)
    names = [segment_name(_PREFIX, number) for number in range(2)]
    assert copy_behind(folder, names, copy := _entry(100, 2000))
    found = _taken(folder, 100, lambda: "")
    assert Counter([*_whole(content, damaged, entries), copy]) <= Counter(found)
    assert len(names) == 2


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_segment_that_vanishes_during_a_recovery(folder: Folder, *, is_dry_run: bool) -> None:
    """It is named as vanished, not as broken, and the rest of its process is sent and removed."""

    class Tidied(Folder):
        """Another program removes a file right after the folder was listed."""

        def names(self, *, is_measured: bool = True) -> list[str]:
            found = super().names(is_measured=is_measured)
            if not is_measured:
                Path(self.path, segment_name(_PREFIX, 1)).unlink(missing_ok=True)
            return found

    tidied = Tidied(folder.path, 2**30)
    put(tidied, _HEAD_NAME, orjson.dumps({**HEAD, "endpoint": _ENDPOINT}))
    for number in range(3):
        put(tidied, segment_name(_PREFIX, number), _segment([_entry(number)]))
    found, outcome = _recovered(tidied, is_dry_run=is_dry_run)
    notes = [note for note in outcome.notes if "00001.log" in note]
    assert [note.partition(";")[0] for note in notes] == [
        f"{segment_name(_PREFIX, 1)}: vanished before it was read"
    ]
    assert outcome.has_left
    if is_dry_run:
        assert outcome.left == 2
    else:
        assert found == [_entry(0), _entry(2)]
        assert tidied.names() == []
    tidied.close()
