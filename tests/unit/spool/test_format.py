"""A dead segment gives up every whole entry and invents none, whatever became of its bytes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.spool.format import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    entries_of,
    prefix_of_segment,
    read_header,
    segment_header,
    segment_name,
)
from forklog.spool.head import (
    FORMAT,
    MAX_HEAD_BYTES,
    Head,
    HeadName,
    decode_head,
    encode_head,
    format_of_head,
    head_name_of,
)

_PAGE = 256
_HEAD = Head(
    project="p",
    endpoint=None,
    log_name="python",
    labels={"a": "b"},
    resource={"type": "global", "labels": {}},
    pid=7,
    boot_id="x",
    version="0.1",
)


def _entry(number: int, text: str) -> bytes:
    payload = orjson.dumps(text)
    return b'{"insertId":"%029x","timestamp":"2026-01-01T00:00:00Z","textPayload":%b}' % (
        number,
        payload,
    )


_texts = st.lists(st.text(max_size=300), max_size=30)


@given(_texts)
def test_all_entries_come_back_in_order(texts: list[str]) -> None:
    """What was written whole is found whole, with the position behind each."""
    entries = [_entry(number, text) for number, text in enumerate(texts)]
    content = b"".join(entry + b"\n" for entry in entries).ljust(SEGMENT_BYTES[0], b"\0")
    pieces, torn = entries_of(content, HEADER_BYTES)
    assert [piece.entry for piece in pieces] == entries
    assert not torn
    ends = [piece.end for piece in pieces]
    assert ends == sorted(set(ends))
    for piece, entry in zip(pieces, entries, strict=True):
        assert content[: piece.end - HEADER_BYTES].rstrip(b"\n\0").endswith(entry)


@given(_texts, st.data())
def test_damage_loses_what_it_hits_alone(texts: list[str], data: st.DataObject) -> None:
    """A page that was cut, zeroed or filled with other bytes costs the entries in it, no more.

    The newlines before and after an entry belong to it: one that is another byte joins two pieces.
    """
    entries = [_entry(number, text) for number, text in enumerate(texts)]
    content = bytearray(b"".join(entry + b"\n" for entry in entries))
    hurt: set[int] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(["cut", "zero", "flip"]))
        until = len(content) if kind == "cut" else min(len(content), at + _PAGE)
        hurt.update(range(at, until))
        if kind == "cut":
            del content[at:]
        elif kind == "zero":
            content[at:until] = bytes(until - at)
        else:
            content[at:until] = bytes(byte ^ 0x55 for byte in content[at:until])
    start, untouched = 0, []
    for entry in entries:
        if hurt.isdisjoint(range(start - 1, start + len(entry) + 1)):
            untouched.append(entry)
        start += len(entry) + 1
    pieces, _ = entries_of(bytes(content), HEADER_BYTES)
    found = [piece.entry for piece in pieces]
    assert [entry for entry in untouched if entry not in found] == []
    # Bytes that turn into others twice are the old ones again; all else is no entry.
    assert all(orjson.loads(entry)["insertId"] for entry in found)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(content: bytes) -> None:
    """No content of a file raises: not as a header, as entries, or as a head."""
    entries_of(content, HEADER_BYTES)
    read_header(content)
    decode_head(content)
    format_of_head(content)


def test_an_entry_that_names_a_log_is_none() -> None:
    """The head alone says to which log an orphan's entries go."""
    line = _entry(1, "x")[:-1] + b',"logName":"projects/other/logs/x"}'
    assert entries_of(line + b"\n", 0) == ([], 1)


def test_a_torn_entry_is_counted() -> None:
    """Half an entry, as a kill leaves it, is counted and not sent."""
    pieces, torn = entries_of(_entry(1, "x") + b"\n" + _entry(2, "y")[:40] + bytes(100), 0)
    assert ([piece.entry for piece in pieces], torn) == ([_entry(1, "x")], 1)


def test_the_head_survives() -> None:
    """A head is read as it was written, and is small."""
    content = encode_head(_HEAD)
    assert decode_head(content) == _HEAD
    assert format_of_head(content) == FORMAT
    assert len(content) < MAX_HEAD_BYTES


@pytest.mark.parametrize("stray", [b"a line of other code\n", b"\xff{", b"{}", b"[" * 100_000])
def test_what_stands_behind_a_head_is_ignored(stray: bytes) -> None:
    """One stray write into the file does not cost the spool; a cut head is none all the same."""
    content = encode_head(_HEAD)
    assert decode_head(content + stray) == _HEAD
    assert format_of_head(content + stray) == FORMAT
    assert decode_head(content[:-1]) is None
    assert decode_head(stray + content) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"log_name": None},
        {"labels": {"a": 1}},
        {"labels": []},
        {"project": 7},
        {"resource": "global"},
        {"pid": "7"},
    ],
)
def test_a_head_of_another_kind_is_none(change: dict[str, object]) -> None:
    """A head with a value of the wrong type, or of another format, is not adopted."""
    given_head = {**orjson.loads(encode_head(_HEAD)), **change}
    assert decode_head(orjson.dumps(given_head)) is None


@pytest.mark.parametrize("number", [0, 7, 1_234_567])
def test_names(number: int) -> None:
    """The names of heads and segments are read as they are written; others are none."""
    prefix = "0123456789abcdef012"
    assert prefix_of_segment(segment_name(prefix, number)) == prefix
    name = HeadName(prefix, "00c0ffee")
    assert head_name_of(str(name)) == name
    for other in (f"{name}.bad", f".{name}", "forklog-0.head", "", f"x/{name}"):
        assert head_name_of(other) is None
        assert prefix_of_segment(other) is None


@pytest.mark.parametrize("size", SEGMENT_BYTES)
def test_the_header(size: int) -> None:
    """A header is read as it was written; one without its magic is none yet."""
    header = read_header(segment_header(3, size))
    assert header is not None
    assert (header.mark, header.number, header.size) == (HEADER_BYTES, 3, size)
    assert read_header(bytes(8) + segment_header(3, size)[8:]) is None
    assert read_header(segment_header(3, size + 1)) is None
