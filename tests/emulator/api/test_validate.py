"""One entry at a time: what the rows are, and each limit just within and just beyond it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forklog.emulator import timestamps
from forklog.emulator.api import size
from forklog.emulator.api.schema import read_entry
from forklog.emulator.api.validate import Defaults, Row, check_log_name, settle
from forklog.emulator.errors import ApiError
from forklog.emulator.fields import WrongValue, boolean, duration, int32, int64, severity

NOW = timestamps.parse("2026-03-01T12:00:00Z")
DEFAULTS = Defaults("projects/p/logs/web", {"type": "global"}, {"env": "prod"}, NOW)


def _settle(defaults: Defaults = DEFAULTS, **raw: object) -> Row:
    violations: list[tuple[str, str]] = []
    entry = read_entry(raw, "entries[0]", violations)
    assert violations == []
    return settle(entry, defaults, 3, "new")


def _body(row: Row) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(row.body)
    return body


def test_a_row_has_what_it_is_found_by() -> None:
    """Parent, log, time in nanoseconds, insertId and severity are columns; the rest is JSON."""
    row = _settle(timestamp="2026-03-01T13:00:00.5+01:00", severity="error", insertId="i")
    assert row[:5] == ("projects/p", "projects/p/logs/web", NOW + 500_000_000, "i", 500)
    assert _body(row)["severity"] == "ERROR"
    assert _body(row)["timestamp"] == "2026-03-01T12:00:00.500Z"


def test_what_is_missing_is_supplied() -> None:
    """Time of receipt plus the entry's place, new insertId, DEFAULT, the request's labels."""
    row = _settle(labels=None, logName="", insertId="")
    assert (row.timestamp, row.insert_id, row.severity) == (NOW + 3, "new", 0)
    assert _body(row)["labels"] == {"env": "prod"}
    assert DEFAULTS.labels == {"env": "prod"}


@pytest.mark.parametrize(("count", "is_kept"), [(63, True), (64, False)])
def test_at_most_64_labels(count: int, *, is_kept: bool) -> None:
    """The request's labels count as well."""
    labels = {f"k{number}": "" for number in range(count)}
    if is_kept:
        assert len(_body(_settle(labels=labels))["labels"]) == 64
    else:
        with pytest.raises(ApiError, match="65 labels, more than the limit of 64"):
            _settle(labels=labels)


def test_long_labels_are_truncated_with_an_ellipsis() -> None:
    """A key keeps 512 bytes and a value 65,536, cut between characters."""
    exact = {"k" * 512: "v" * 65_536}
    assert exact.items() <= _body(_settle(labels=exact))["labels"].items()
    labels = _body(_settle(labels={"é" * 300: "v" * 65_537}))["labels"]
    (key,) = labels.keys() - {"env"}
    assert len(key.encode()) <= 512
    assert key == "é" * 254 + "..."
    assert labels[key] == "v" * 65_533 + "..."


@pytest.mark.parametrize(
    "name",
    [
        "projects/p/logs/a",
        "/projects/p/logs/a",
        "organizations/1/logs/cloudaudit.googleapis.com%2Factivity",
        "folders/1/logs/a_b-c.D9",
        "billingAccounts/0-1/logs/" + "a" * 511,
        "projects/example.com:p/logs/" + "%2F" * 511,
    ],
)
def test_log_names_that_pass(name: str) -> None:
    """All four kinds of parents pass, a leading slash is removed."""
    assert check_log_name(name)[0] == name.removeprefix("/")


@pytest.mark.parametrize(
    "name",
    [
        *("", "a", "projects//logs/a", "projects/p/logs/", "users/p/logs/a", "projects/p/logs/a b"),
        *("projects/p/logs/%41", "projects/p/logs/" + "a" * 512, "projects/p/logs/a/b"),
    ],
)
def test_log_names_that_do_not_pass(name: str) -> None:
    """A missing part, another kind, a foreign character, 512 characters: all are refused."""
    with pytest.raises(ApiError):
        check_log_name(name)


@pytest.mark.parametrize("span", ["0" * 15, "0" * 17, "x" * 16, "456"])
def test_a_span_id_is_any_text(span: str) -> None:
    """Any length and alphabet is stored, as by Cloud Logging; an empty one is none.

    Closes: `"spanId": "456"` of Google's own system tests, refused.
    """
    assert _body(_settle(spanId=span))["spanId"] == span
    assert "spanId" not in _body(_settle(spanId=""))


def test_the_size_limit_is_on_the_internal_form() -> None:
    """A text passes up to 262,144 bytes in all; a list of digits is refused at half its JSON."""
    overhead = size.entry_bytes(_body(_settle(textPayload=""))) + 4
    longest = size.MAX_ENTRY_BYTES - overhead
    assert _settle(textPayload="x" * (longest - 16))
    with pytest.raises(ApiError, match=r"exceeds maximum size of 256\.0K"):
        _settle(textPayload="x" * (longest + 16))
    digits = [1] * 60_000
    assert len(orjson.dumps(digits)) < size.MAX_ENTRY_BYTES / 2
    with pytest.raises(ApiError, match="exceeds maximum size"):
        _settle(jsonPayload={"digits": digits})
    assert _settle(textPayload='"' * 200_000)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_small_entries_need_no_walk(payload: dict[str, Any]) -> None:
    """The quick rule holds: the internal form is at most six times the JSON text."""
    entry = {"jsonPayload": payload}
    try:
        text = orjson.dumps(entry)
    except orjson.JSONEncodeError:
        return
    assert size.entry_bytes(entry) <= 6 * len(text)


def test_sizes_read_as_the_api_shows_them() -> None:
    """Kibibytes with one decimal, mebibytes with two."""
    assert (size.shown(262_144), size.shown(568_934)) == ("256.0K", "555.6K")
    assert size.shown(6_532_628) == "6.23M"


def test_nesting_is_limited() -> None:
    """A hundred levels pass, more are refused, and so is what JSON could not even write."""
    for levels, is_kept in ((97, True), (101, False), (300, False)):
        payload: dict[str, Any] = {}
        for _ in range(levels):
            payload = {"a": payload}
        if is_kept:
            assert _settle(jsonPayload=payload)
        else:
            with pytest.raises(ApiError, match="too deep"):
                _settle(jsonPayload=payload)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.1Z", "2026-03-01T12:00:00.100Z"),
        ("2026-03-01T12:00:00.000001Z", "2026-03-01T12:00:00.000001Z"),
        ("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456789Z"),
        ("2026-03-01T12:00:00-01:30", "2026-03-01T13:30:00Z"),
        ("2026-03-01T12:00:00.5+0100", "2026-03-01T11:00:00.500Z"),
        ("1960-01-01T00:00:00.000000001Z", "1960-01-01T00:00:00.000000001Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T23:59:00+23:59", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("9999-12-31T00:00:59-23:59", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_rendered_in_utc(text: str, rendered: str) -> None:
    """Nanoseconds and offsets survive; the fraction has 0, 3, 6 or 9 digits."""
    assert timestamps.render(timestamps.parse(text)) == rendered


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-03-01", "2026-03-01T12:00:00", "2026-13-01T12:00:00Z", "2026-03-01T25:00:00Z"),
        *("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00.5+00:01", "0000-12-31T23:59:59Z"),
        *("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:00-00:01"),
        *("2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00.1234567890Z", "2026-03-01 12:00:00Z"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    """Missing zones, impossible dates, ten digits and other years than 1 to 9999 are refused."""
    with pytest.raises(ValueError, match=r".+"):
        timestamps.parse(text)


def test_protobuf_json_is_read_as_google_reads_it() -> None:
    """Numbers may be text, booleans may be words, severities any case or number."""
    assert (int32("7"), int32(7.0), int64(2**63 - 1)) == (7, 7, str(2**63 - 1))
    assert (boolean("true"), boolean("false")) == (True, False)
    assert [severity(value) for value in ("info", "200", 200, 250)] == [200, 200, 200, 250]
    assert duration("-1.5s") == "-1.5s"
    for read, value in ((int32, 2**31), (int64, 2**63), (int32, 1.5), (int32, True)):
        with pytest.raises(WrongValue):
            read(value)
    for read, value in ((boolean, "yes"), (severity, "LOUD"), (duration, "1"), (severity, 2**40)):
        with pytest.raises(WrongValue):
            read(value)
