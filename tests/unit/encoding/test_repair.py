"""Time, trace, request, source and resource: repaired or left out, never refused."""

from __future__ import annotations

import datetime as dt
import fractions
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import RESOURCE, EncoderBench, Hostile, HostileMapping, record_of

from forklog.emulator.timestamps import SECOND, parse
from forklog.encoding.repair import http_request_of, resource_of, source_location_of
from forklog.encoding.timestamps import fraction_of, timestamp_of

if TYPE_CHECKING:
    from collections.abc import Callable


def _one(**extra: Any) -> dict[str, Any]:
    return EncoderBench().one(record_of("m", **extra))


def _mark(entry: dict[str, Any]) -> str:
    return str(entry["labels"].get("forklog_repaired", ""))


_WRONG = [Hostile(), HostileMapping(), 5, "text", [1], object(), b"b", math.nan]


@pytest.mark.parametrize("value", _WRONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("labels", "labels"),
        ("http_request", "httpRequest"),
        ("source_location", "sourceLocation"),
        ("resource", "resource"),
    ],
)
def test_a_field_of_a_wrong_type_is_left_out(name: str, field: str, value: Any) -> None:
    """A value that is no mapping, or a mapping that cannot be read, is left out and named."""
    entry = _one(**{name: value})
    assert entry["textPayload"] == "m"
    assert _mark(entry) == field
    assert entry["labels"]["python_logger"] == "app"
    assert entry["resource"] == RESOURCE
    assert field in ("labels", "resource") or field not in entry


@pytest.mark.parametrize("value", [Hostile(), HostileMapping(), 5, [1], object(), b"b"])
def test_a_trace_of_a_wrong_type_is_left_out(value: Any) -> None:
    """A trace that is no text and a span id that is neither are left out, both named."""
    entry = _one(trace=value, span_id=value if value != 5 else -5)
    assert "trace" not in entry
    assert "spanId" not in entry
    assert _mark(entry) == "spanId,trace"


@pytest.mark.parametrize(
    ("span_id", "expected"),
    [
        ("0123456789abcdef", "0123456789abcdef"),
        (0xABC, "0000000000000abc"),
        (2**64, None),
        (-1, None),
        (True, None),
        ("456", "456"),
        ("0123456789abcdefg", "0123456789abcdefg"),
        ("0123456789abcdef\n", "0123456789abcdef\n"),
        ("s" * 1_024, "s" * 1_024),
    ],
)
def test_span_ids(span_id: Any, expected: str | None) -> None:
    """A span id that is text is stored as given; a number is written as 16 hexadecimal digits.

    Closes: a span id that Cloud Logging stores, dropped for its form.
    """
    entry = _one(span_id=span_id)
    assert entry.get("spanId") == expected
    assert (_mark(entry) == "spanId") == (expected is None)


@pytest.mark.parametrize("nothing", [None, "", {}, 0])
def test_nothing_is_no_mistake(nothing: Any) -> None:
    """An empty or absent extra is left out without a mark."""
    names = ("trace", "span_id", "http_request", "resource", "trace_sampled")
    entry = _one(**dict.fromkeys(names, nothing))
    assert not {"trace", "spanId", "httpRequest", "traceSampled"} & entry.keys()
    assert _mark(entry) == ""


def test_a_trace_is_kept_as_given() -> None:
    """Trace and sampling of extra= arrive as they are; a trace without Unicode is shown."""
    entry = _one(trace="projects/p/traces/t", span_id="0" * 15 + "1", trace_sampled=1)
    assert entry["trace"] == "projects/p/traces/t"
    assert entry["traceSampled"] is True
    assert _one(trace="t\ud800")["trace"] == "t\\ud800"
    assert _mark(_one(trace_sampled=Hostile())) == "traceSampled"


def test_an_http_request_keeps_what_fits() -> None:
    """Both spellings of the names are read; values of wrong types and unknown names are not."""
    given = {
        "request_method": "GET", "requestUrl": "http://h/ä\ud800", "status": "204",
        "response_size": 10, "requestSize": 10.0, "cache_fill_bytes": 2**70, "cacheHit": True,
        "cache_lookup": "yes", "latency": 0.25, "user_agent": None, "unknown": 1, 5: 6,
    }  # fmt: skip
    assert _one(http_request=given)["httpRequest"] == {
        "requestMethod": "GET", "requestUrl": "http://h/ä\\ud800", "status": 204,
        "responseSize": "10", "requestSize": "10", "cacheHit": True, "latency": "0.25s",
    }  # fmt: skip


@pytest.mark.parametrize("status", [2**31, -(2**31) - 1, 2**70, "9" * 5000, "x", math.nan, True])
def test_a_status_that_is_none_is_left_out(status: Any) -> None:
    """A status that is no 32-bit number never reaches the server, who would refuse the request."""
    assert _one(http_request={"status": status, "referer": "r"})["httpRequest"] == {"referer": "r"}


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        ("1.5s", "1.5s"),
        (2, "2s"),
        (100, "100s"),
        (0.000001, "0.000001s"),
        (dt.timedelta(milliseconds=1500), "1.5s"),
        ("315576000000s", "315576000000s"),
        ("315576000000.5s", None),  # beyond the bound of protobuf's Duration
        ("999999999999s", None),
        (999_999_999.5, "999999999.5s"),
        (10**9, None),
        (10**400, None),
        (dt.timedelta.max, None),
        ("1.5", None),
        ("٣s", None),
        (-1, None),
        (math.nan, None),
        (math.inf, None),
        (Hostile(), None),
        (dt.timedelta(days=-1), None),
    ],
)
def test_latencies(latency: Any, expected: str | None) -> None:
    """Seconds, a timedelta and the API's own form are latencies; nothing else is.

    Class of fault: a value of the right type is beyond the API's bound; siblings: `test_span_ids`,
    `test_a_status_that_is_none_is_left_out`, `test_timestamps`.
    """
    found = _one(http_request={"latency": latency, "referer": "r"}).get("httpRequest", {})
    assert found.get("latency") == expected


def test_a_resource_of_extra() -> None:
    """A resource is taken from a mapping or an object with _to_dict; its labels become text."""

    class Resource:
        def _to_dict(self) -> dict[str, Any]:
            return {"type": "generic_task", "labels": {"n": 1}}

    # The service fills the project in.
    expected = {"type": "generic_task", "labels": {"n": "1", "project_id": "p"}}
    assert _one(resource=Resource())["resource"] == expected
    assert _one(resource={"type": "generic_task", "labels": {"n": 1}})["resource"] == expected
    assert _one(resource={"type": "generic_task"})["resource"]["type"] == "generic_task"
    assert _mark(_one(resource={"type": ""})) == "resource"
    assert _mark(_one(resource={"labels": {}})) == "resource"


def test_a_source_location_of_extra() -> None:
    """A source location given replaces the record's own, with the keys that make sense."""
    entry = _one(source_location={"file": "f", "line": "12", "function": None, "other": 1})
    assert entry["sourceLocation"] == {"file": "f", "line": "12"}
    assert "sourceLocation" not in _one(source_location=None)
    assert _one(source_location={"file": "f", "line": 2**70})["sourceLocation"] == {"file": "f"}


@pytest.mark.parametrize("given", [{"file": "f"}, {"function": "g"}, {"line": 0}, {"line": 7}, {}])
def test_a_given_source_location_gets_no_field(given: dict[str, Any]) -> None:
    """What is sent has the keys that were given, and no line of zero beside them."""
    expected = {key: str(value) for key, value in given.items()}
    assert source_location_of(given) == (expected or None, False)


_NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        (1_700_000_000.25, 1_700_000_000.25),
        (0, 0),
        (0.5, 0.5),
        (-0.0, 0),
        (_NOW + 86_399, _NOW + 86_399),
        (_NOW + 86_400, None),
        (1e300, None),
        (10**400, None),
        (-0.5, None),
        (-(10**400), None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (None, None),
        ("1700000000", None),
        (dt.datetime(2026, 1, 1), None),  # noqa: DTZ001
    ],
)
def test_timestamps(created: Any, seconds: float | None) -> None:
    """A time that the API would refuse or forget is set to now, and that is known."""
    stamp, changed = timestamp_of(created, _NOW)
    assert changed == (seconds is None)
    expected = _NOW if seconds is None else seconds
    assert parse(stamp.decode()) == int(fractions.Fraction(expected) * SECOND)


@pytest.mark.parametrize("created", [math.nan, None, -0.5, -5, "x", 2**60, 10**400])
def test_a_record_of_a_wrong_time_arrives(created: Any) -> None:
    """A record whose time is nonsense arrives with the present time and the mark."""
    before = time.time_ns()
    entry = _one(created=created)
    assert before - 1000 <= parse(entry["timestamp"]) <= time.time_ns()
    assert _mark(entry) == "timestamp"


@given(st.floats(0, 1, exclude_max=True))
@example(0.0)
@example(0.5)
@example(1e-9)
@example(0.001)
@example(0.1 + 0.2)
@example(0.9999999999999999)
def test_the_part_of_a_second_is_cut(rest: float) -> None:
    """It has nine decimals, and is never off by more than the last of them."""
    digits = fraction_of(rest)
    assert digits[:1] == b"."
    assert len(digits) == 10
    assert abs(int(digits[1:]) - rest * 1e9) <= 1


_LONG = "x" * 20_000


@pytest.mark.parametrize(
    ("repair", "value", "is_changed"),
    [
        (source_location_of, {"file": "a.py", "line": 3, "function": "f"}, False),
        (source_location_of, {"file": "a.py", "line": None}, False),
        (source_location_of, {"line": 3}, False),
        (source_location_of, {"file": _LONG, "function": "f"}, True),
        (source_location_of, {"file": "a.py", "function": _LONG}, True),
        (source_location_of, {"file": "a.py", "column": 7}, True),
        (source_location_of, {"file": "a.py", "line": "seven"}, True),
        (http_request_of, {"requestUrl": "/a", "status": 200}, False),
        (http_request_of, {"requestUrl": "/a", "status": None}, False),
        (http_request_of, {"requestUrl": _LONG, "userAgent": "u"}, True),
        (http_request_of, {"requestUrl": "/a", "weather": "fine"}, True),
        (resource_of, {"type": "global"}, False),
        (resource_of, {"type": "global", "labels": {"a": "b"}}, False),
        (resource_of, {"type": _LONG}, True),
        (resource_of, {"type": "global", "labels": {"a": _LONG}}, True),
        (resource_of, {"type": 7}, True),
        (resource_of, {"type": ""}, True),
    ],
)
def test_each_change_is_reported(
    repair: Callable[[Any], tuple[Any, bool]], value: dict[str, Any], *, is_changed: bool
) -> None:
    """A part that had to be cut or left out marks the entry, whatever the other parts are like.

    Class of fault: a field is cut or left out without a label; siblings:
    `test_a_field_of_a_wrong_type_is_left_out`, `test_json_fields_that_are_no_mapping_are_named`.
    """
    assert repair(value)[1] is is_changed
