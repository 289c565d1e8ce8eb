"""The lenient encoder: whatever a record holds, it becomes entries that the server takes."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import EncoderBench, Hostile, accepted, record_of

from forklog.emulator.timestamps import SECOND, parse
from forklog.encoding.lenient import drop_notice
from forklog.insert_id import InsertIds
from forklog.severity import SEVERITIES


def test_a_drop_notice_is_an_entry() -> None:
    """The notice about dropped entries is a WARNING with the number and the reason."""
    rank, raw = drop_notice(InsertIds(), 5, "buffer_full", {})
    entry = json.loads(raw)
    assert SEVERITIES[rank] == b"WARNING"
    assert entry["severity"] == "WARNING"
    assert entry["jsonPayload"] == {
        "message": "forklog dropped 5 entries (buffer_full)",
        "dropped": 5,
        "reason": "buffer_full",
    }
    assert entry["labels"] == {"python_logger": "forklog"}
    assert abs(parse(entry["timestamp"]) - time.time_ns()) < 5 * SECOND


_TEXT = st.text(max_size=30) | st.text(st.characters(), max_size=30)
_NAMES = _TEXT | st.sampled_from(["", "None", "{}", '{"a": 1}', "%s", "x" * 600, "\x00", "\ud800"])
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | _NAMES | st.binary(max_size=20)
    | st.builds(Hostile) | st.builds(object) | st.datetimes() | st.decimals() | st.uuids()
)  # fmt: skip
_ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5) | st.tuples(inner, inner)
        | st.dictionaries(_NAMES | st.integers() | st.none(), inner, max_size=5)
    ),
    max_leaves=15,
)  # fmt: skip
_FIELDS = [
    "name", "levelno", "levelname", "pathname", "lineno", "funcName", "created", "exc_info",
    "exc_text", "stack_info", "thread", "message", "asctime", "labels", "trace", "span_id",
    "trace_sampled", "http_request", "source_location", "json_fields", "resource", "_labels",
    "_trace", "_span_id", "_trace_sampled", "_http_request", "_source_location", "_resource",
]  # fmt: skip
_KNOWN = [
    "requestMethod", "request_url", "status", "requestSize", "latency", "cacheHit", "file", "line",
    "function", "type", "labels", "message", "forklog_repaired", "python_logger",
]  # fmt: skip
_PLAIN_FIELDS = ["name", "pathname", "funcName", "exc_info", "exc_text", "stack_info", "levelname"]
_MAPPINGS = st.dictionaries(st.sampled_from(_KNOWN), _ANYTHING, max_size=8)


@settings(max_examples=250, deadline=None)
@given(
    msg=_ANYTHING,
    args=st.none() | st.lists(_LEAVES, max_size=3).map(tuple) | _ANYTHING,
    fields=st.dictionaries(st.sampled_from(_FIELDS) | _NAMES, _ANYTHING | _MAPPINGS, max_size=8),
    missing=st.sets(st.sampled_from(_FIELDS), max_size=2),
    shared=st.sampled_from([0, 1, 63, 64]),
)
def test_any_record_becomes_valid_entries(
    msg: Any, args: Any, fields: dict[str, Any], missing: set[str], shared: int
) -> None:
    """Whatever a record holds or lacks, nothing raises and the server takes each of its entries."""
    record = record_of(msg)
    record.args = args
    record.__dict__.update({name: v for name, v in fields.items() if name not in ("msg", "args")})
    for name in missing:
        record.__dict__.pop(name, None)
    assert EncoderBench({f"s{n}": "v" for n in range(shared)}).all(record)


@settings(max_examples=250, deadline=None)
@given(
    msg=_NAMES,
    args=st.none() | st.lists(_LEAVES, max_size=3).map(tuple) | _MAPPINGS,
    fields=st.dictionaries(st.sampled_from(_PLAIN_FIELDS), _LEAVES, max_size=3),
    created=st.floats() | st.floats(0, 4e9) | st.integers(-(2**40), 2**40),
    level=st.integers() | st.floats() | st.booleans(),
    line=st.integers() | st.none(),
)
def test_the_fast_path_makes_what_the_lenient_encoder_makes(  # noqa: PLR0913 - the fields of a record
    msg: Any, args: Any, fields: dict[str, Any], created: Any, level: Any, line: Any
) -> None:
    """A record that the fast path takes, however odd, is the same entry by the lenient encoder."""
    record = record_of(msg, created=created, levelno=level, lineno=line, **fields)
    record.args = args
    bench = _SHARED
    try:
        short = bench.encoder.encode(record, bench.ids)
    except Exception:  # noqa: BLE001 - it is the handler's rule
        short = None
    if short is None:
        assert bench.all(record)
        return
    (full,) = bench.encoder.encode_lenient(record, bench.ids)
    assert short[0] == full[0]
    entries = [accepted(raw) for _, raw in (short, full)]
    for entry in entries:
        del entry["insertId"], entry["receiveTimestamp"]
    assert entries[0] == entries[1]


_SHARED = EncoderBench()


@pytest.mark.parametrize("fields", ["wrong", 5, ["a"], Hostile()], ids=lambda f: type(f).__name__)
def test_json_fields_that_are_no_mapping_are_named(fields: Any) -> None:
    """Nothing is left out silently.

    Class of fault: a field is left out without a label; siblings:
    `test_a_field_of_a_wrong_type_is_left_out`, `test_each_change_is_reported`.
    """
    entry = EncoderBench().one(record_of(json_fields=fields))
    assert entry["labels"]["forklog_repaired"] == "jsonPayload"


@pytest.mark.parametrize("fields", [None, "", {}, {"a": 1}], ids=repr)
def test_json_fields_that_leave_nothing_out_are_not_named(fields: Any) -> None:
    """Neither fields that arrive, nor none."""
    entry = EncoderBench().one(record_of(json_fields=fields))
    assert "forklog_repaired" not in entry.get("labels", {})


def _cycle() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (2**70, f'"{2**70}"'),
        (_cycle(), '"<cycle>"'),
        (_nested(40), '"<list below 32 levels>"'),
    ],
    ids=["NaN", "Infinity", "-Infinity", "integer", "cycle", "depth"],
)
def test_what_shows_its_change_is_not_named(value: Any, shown: str) -> None:
    """A value in a payload for which JSON has no word changes visibly, and gives no label.

    Class of fault: docs/entries.md promises the label where it is not set; siblings:
    `test_json_fields_that_are_no_mapping_are_named`, `test_each_change_is_reported`.
    """
    for record in (record_of({"a": value}), record_of("m", json_fields={"a": value})):
        entry = EncoderBench().one(record)
        assert shown in json.dumps(entry["jsonPayload"])
        assert "forklog_repaired" not in entry.get("labels", {})
