"""An entry as lines of a terminal."""

from __future__ import annotations

from datetime import timezone
from typing import Any

import pytest

from forklog.tail.lines import Lines

ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/shop%2Fapi",
    "timestamp": "2026-01-31T12:00:00.123456789Z",
    "severity": "WARNING",
    "textPayload": "order 17 has no address",
    "labels": {"process_id": "712", "uwsgi_worker_id": "3"},
    "trace": "projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736",
}


def _of(**changes: Any) -> list[str]:
    lines = Lines(timezone.utc)
    made = [list(lines.of(ENTRY)), list(lines.of({**ENTRY, **changes}))]
    return ["".join(text for text, _ in pieces) for pieces in made[1]]


def test_a_line_has_time_severity_log_process_text_and_trace() -> None:
    """The day stands above, once."""
    lines = Lines(timezone.utc)
    first, second = list(lines.of(ENTRY)), list(lines.of(ENTRY))
    assert first[0] == [("2026-01-31", "bold")]
    assert first[1:] == second
    assert "".join(text for text, _ in second[0]) == (
        "12:00:00.123 WARNING   shop/api[712 worker 3] order 17 has no address  trace=4bf92f35"
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"jsonPayload": {"message": "packed", "user": 7, "tags": ["a"]}},
         'packed  user=7  tags=["a"]  trace=4bf92f35'),
        ({"jsonPayload": {"user": 7}}, '{"user":7}  trace=4bf92f35'),
        ({"httpRequest": {"requestMethod": "GET", "requestUrl": "/a", "status": 200}},
         "GET /a 200  trace=4bf92f35"),
        ({"protoPayload": {"@type": "x"}, "trace": ""}, '{"@type":"x"}'),
    ],
    ids=["message", "fields", "request", "proto"],
)  # fmt: skip
def test_the_text_of_each_kind_of_payload(changes: dict[str, Any], end: str) -> None:
    """Message and fields of JSON, the request of an entry without text, or the payload as it is."""
    (line,) = _of(**{"textPayload": None, **changes})
    assert line == f"12:00:00.123 WARNING   shop/api[712 worker 3] {end}"


def test_further_lines_are_indented() -> None:
    """A traceback keeps its lines; a record cannot pretend to be another entry."""
    lines = _of(textPayload="boom\nTraceback\n12:00:00.000 INFO  faked")
    assert lines[1:] == ["    Traceback", "    12:00:00.000 INFO  faked"]


@pytest.mark.parametrize("field", ["textPayload", "severity", "logName", "timestamp", "trace"])
@pytest.mark.parametrize(
    "evil", ["\x1b]0;x\x07", "\x9b31m", "\u202e", "\r", "a\x08\x08"], ids=ascii
)
def test_no_field_controls_the_terminal(field: str, evil: str) -> None:
    """What is unprintable is shown as an escape, wherever it stands."""
    for line in _of(**{field: f"x/logs/{evil}"}):
        assert line.isprintable()


@pytest.mark.parametrize("place", ["jsonPayload", "labels", "httpRequest"])
@pytest.mark.parametrize("value", ["\x1b[31m", ["\x1b[31m"], {"\x1b[31m": "\n"}, "a\nb"], ids=ascii)
def test_no_nested_value_controls_the_terminal(place: str, value: Any) -> None:
    """Keys and values of structures are escaped as well."""
    names = ("message", "\x1b[1m", "process_id", "requestUrl", "x")
    for line in _of(textPayload=None, **{place: dict.fromkeys(names, value)}):
        assert line.isprintable()


def test_odd_entries_have_a_line() -> None:
    """An entry without fields, or with fields of other types, raises nothing."""
    assert len(list(Lines().of({}))) >= 1
    odd = {"labels": 3, "jsonPayload": [1], "timestamp": None, "trace": 7, "severity": 5}
    assert len(list(Lines().of(odd))) >= 1
