"""Entries that are too long: splitting texts, cutting objects; by the emulator's own measure."""

from __future__ import annotations

import json
import logging
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import EncoderBench, record_of

from forklog.emulator.api.size import entry_bytes
from forklog.encoding.encoder import Encoder
from forklog.encoding.truncate import fit_object, split_text
from forklog.insert_id import InsertIds
from forklog.limits import MAX_ENTRY_BYTES, estimate

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=60),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=30), inner, max_size=8)
    ),
    max_leaves=25,
)
_OBJECTS = st.dictionaries(st.text(max_size=30), _JSON, max_size=8)


@given(st.text(max_size=400), st.integers(4, 100))
def test_pieces_joined_are_the_text(text: str, room: int) -> None:
    """Pieces in order are the whole text, each of at most the room in UTF-8 bytes, none broken."""
    pieces = split_text(text, room)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= room for piece in pieces)


@settings(max_examples=40, deadline=None)
@given(_OBJECTS)
def test_the_estimate_is_never_too_low(payload: dict[str, Any]) -> None:
    """What is estimated is at least what the emulator measures."""
    assert estimate(payload) + 12 >= entry_bytes({"jsonPayload": payload})


@given(_OBJECTS, st.integers(8_000, 20_000), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_cut_object_fits(payload: dict[str, Any], room: int, copies: int) -> None:
    """Whatever an object holds, it is cut to the room, give or take the marks of the cuts."""
    large = {f"{n}{key}": value for n in range(copies) for key, value in payload.items()}
    assert entry_bytes({"jsonPayload": fit_object(large, room)}) <= room + 4_000


def test_a_small_object_is_left_alone() -> None:
    """An object that fits is returned as it is."""
    payload = {"a": ["b", 1, None]}
    assert fit_object(payload, 1000) is payload


def test_a_list_tells_what_it_lost_and_only_that() -> None:
    """Beside a string that is too long a list stays whole; one that is too long says how much."""
    payload = {"long": "l" * 500_000, "list": [1, 2, 3]}
    assert fit_object(payload, 100_000)["list"] == [1, 2, 3]
    *kept, last = fit_object({"list": ["x" * 50] * 10_000}, 100_000)["list"]
    assert set(kept) == {"x" * 50}
    assert last == f"...({10_000 - len(kept)} more items)"


def test_the_longest_strings_are_cut_first() -> None:
    """Structure and short strings survive; the longest ones are cut and say by how much."""
    payload = {"short": "s" * 1000, "long": "l" * 500_000, "list": [1, {"deep": "d" * 300_000}]}
    entry = EncoderBench().one(record_of(payload))
    kept = entry["jsonPayload"]
    assert kept["short"] == payload["short"]
    for text, whole in ((kept["long"], 500_000), (kept["list"][1]["deep"], 300_000)):
        head, _, tail = text.partition("...(")
        assert len(head) + int(tail.split()[0]) == whole
        assert 100_000 < len(head) < 150_000
    assert kept["list"][0] == 1
    assert entry["labels"]["forklog_repaired"] == "jsonPayload"


def test_a_hundred_thousand_keys_are_bounded() -> None:
    """An object of 100,000 keys keeps what fits and says how many members are missing."""
    entry = EncoderBench().one(record_of({f"key{n}": n for n in range(100_000)}))
    kept = entry["jsonPayload"]
    assert kept["key0"] == 0
    assert kept["forklog_cut"] == f"{100_000 - (len(kept) - 1)} more members"
    assert len(kept) > 5_000


def test_a_dense_list_is_measured_inside() -> None:
    """JSON that is short on the wire and long inside Cloud Logging is cut as well."""
    entry = EncoderBench().one(record_of({"list": [1] * 100_000}))
    assert entry["jsonPayload"]["list"][-1].endswith(" more items)")


def test_a_long_text_is_split() -> None:
    """A 10 MB text arrives in entries marked with split, in order, whole when put together."""
    alphabet = string.ascii_letters + "äöü€😀"
    text = (alphabet * (10_000_000 // len(alphabet.encode()) + 1))[: 10_000_000 // 2]
    entries = EncoderBench().all(record_of(text, created=1_700_000_000.5))
    splits = [entry["split"] for entry in entries]
    assert [split.get("index", 0) for split in splits] == list(range(len(entries)))
    assert {split["totalSplits"] for split in splits} == {len(entries)}
    assert len({split["uid"] for split in splits}) == 1
    assert "".join(entry["textPayload"] for entry in entries) == text
    ids = [entry["insertId"] for entry in entries]
    assert ids == sorted(set(ids))
    for name in ("timestamp", "severity", "labels", "sourceLocation"):
        assert len({json.dumps(entry[name]) for entry in entries}) == 1


def test_a_text_at_the_limit_is_one_entry() -> None:
    """A text is split only when it has to be: 240,000 bytes fit, 260,000 do not."""
    assert len(EncoderBench().raw(record_of("x" * 240_000))) == 1
    assert len(EncoderBench().raw(record_of("x" * 260_000))) == 2


@pytest.mark.parametrize("unit", ["x", "é", "€", "😀", "\0", "e\u0301"])
@pytest.mark.parametrize(("taken", "shared"), [(0, 0), (90_000, 0), (50_000, 40_000)])
def test_the_exact_boundary(unit: str, taken: int, shared: int) -> None:
    """One character beyond the room makes two entries; on either side each is whole and fits."""
    bench = EncoderBench({"shared": "s" * shared} if shared else None)
    labels = {f"l{n}": "v" * 10_000 for n in range(taken // 10_000)}

    def pieces(count: int) -> int:
        return len(bench.raw(record_of(unit * count, labels=labels)))

    most = 250_000 - taken - shared
    low, high = (most - 12_000) // len(unit.encode()), most // len(unit.encode())
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if pieces(middle) == 1 else (low, middle)
    for count, expected in ((low - 1, 1), (low, 1), (high, 2), (2 * low, 2), (2 * low + 2, 3)):
        entries = bench.all(record_of(unit * count, labels=labels))
        assert len(entries) == expected
        assert "".join(entry["textPayload"] for entry in entries) == unit * count


def test_a_handlers_resource_counts() -> None:
    """A large resource, which the server adds to each entry, takes its room as well."""
    resource = {"type": "generic_task", "labels": {"l": "v" * 15_000}}
    handler = logging.Handler()
    plain, with_resource = (
        Encoder(handler.format, {}, lambda: "p", given) for given in ({}, resource)
    )
    record = record_of("x" * 243_000, labels={"a": "b"})
    assert len(plain.encode_lenient(record, InsertIds())) == 1
    assert len(with_resource.encode_lenient(record, InsertIds())) == 2


def test_a_split_text_leaves_room_for_the_labels() -> None:
    """Pieces are smaller where an entry's other fields are large."""
    labels = {f"label{n}": "v" * 1500 for n in range(60)}
    text = "x" * 500_000
    entries = EncoderBench().all(record_of(text, labels=labels))
    assert "".join(entry["textPayload"] for entry in entries) == text
    assert all(entry["labels"]["label59"] == labels["label59"] for entry in entries)


@pytest.mark.parametrize("size", [50_000, 57_000])
def test_labels_of_the_handler_count(size: int) -> None:
    """Labels that the request adds to each entry are counted, in each encoder."""
    labels = {f"label{n}": "v" * size for n in range(4)}
    bench = EncoderBench(labels)
    for length in (10_000, 40_000, 60_000, 400_000):
        entries = bench.all(record_of("x" * length))
        assert "".join(entry["textPayload"] for entry in entries) == "x" * length
    assert bench.one(record_of({"a": "x" * 90_000}))["labels"]["forklog_repaired"] == "jsonPayload"


def test_a_long_traceback_arrives_whole() -> None:
    """An exception text of 1 MB is split like any other text."""
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError as error:
        record = record_of("failed", exc_info=(ValueError, error, error.__traceback__))
    text = "".join(entry["textPayload"] for entry in EncoderBench().all(record))
    assert text.startswith("failed\nTraceback")
    assert text.endswith("y" * 1_000_000)
    assert len(text) > MAX_ENTRY_BYTES
