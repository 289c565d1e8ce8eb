"""Filters and requests that would hold the server for long are bounded, over a real socket."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cases import further

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]

DEEP = b"[" * 900 + b"]" * 900


def _ask(call: Send, source: str) -> tuple[int, dict[str, Any]]:
    body = {"resourceNames": ["projects/p"], "filter": source}
    return call("POST", "/v2/entries:list", body, timeout=60)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 40 + "b"),
        ("(a|aa)+$", "a" * 200_000 + "b"),
        *further(
            ("(.+)+=(.+)+;", "x=y" * 60_000),
            ("(a?){30}a{30}$", "a" * 30_000 + "b"),
            (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 20_000),
        ),
        ("a" * 15_000, "a" * 20_000),
        ("(?i:a)" * 3_000, "a" * 20_000),
        ("a?" * 4_000 + "a" * 4_000, "a" * 20_000),
        ("(?:" * 99 + "a" * 15_000 + ")?" * 99, "a" * 20_000),
    ],
)
def test_an_expression_cannot_hold_the_server(
    write: Send, call: Send, emulator: Emulator, pattern: str, text: str
) -> None:
    """Catastrophic backtracking is answered, or refused with 400, while other calls are served.

    So is a long run of characters, of which the engine makes tables without a look at the clock.

    Class of fault: a filter of a user stops the event loop; siblings:
    `test_a_large_filter_is_refused`, `test_a_long_scan_ends_its_page`,
    `test_an_export_that_has_begun_breaks_off`.
    """
    write({"textPayload": text})
    answers: list[tuple[int, dict[str, Any]]] = []
    asking = threading.Thread(
        target=lambda: answers.append(_ask(call, f'textPayload=~"{pattern}"'))
    )
    asking.start()
    while asking.is_alive():
        assert emulator.stats()["entries_shown"] == 1
        time.sleep(0.05)
    [(status, answer)] = answers
    assert status == 200 or (status == 400 and "takes too long" in answer["error"]["message"])
    assert write({"textPayload": "after"})[0] == 200


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("severity>=0 " * 1000, "more than 500 comparisons"),
        ("insertId=a OR " * 999 + "insertId=a", "more than 500 comparisons"),
        ("timestamp>2020-01-01 AND " * 600 + "a", "more than 500 comparisons"),
        ("labels.a=(" + "b OR " * 999 + "b)", "more than 500 comparisons"),
        ("(" * 3_000 + "a" + ")" * 3_000, "more than 50 levels of parentheses"),
        ("NOT (" * 2_000 + "a" + ")" * 2_000, "more than 50 levels of parentheses"),
        ("-(" * 4_000 + "a" + ")" * 4_000, "more than 50 levels of parentheses"),
        ('textPayload=~"((((a{100}){100}){100}){100})"', "a repeat above 1000"),
        ('textPayload=~"' + "(" * 5_000 + ")" * 5_000 + '"', "more than 100 levels"),
        ('textPayload=~"(?R)"', "RE2 has no"),
        (r'textPayload=~"' + r"\\b" * 6_000 + '"', "it is too large"),
        (r'severity="\ud800"', "is not a severity"),
        (r'timestamp>"\ud800"', "is not an RFC 3339 time"),
        (r'a."\ud800"=1', "no field"),
        (r'textPayload=~"(\ud800"', "is not a regular expression"),
    ],
)
def test_a_large_filter_is_refused(call: Send, source: str, text: str) -> None:
    """Too many comparisons, levels or repeats, and half a code point, are 400 with the reason.

    Class of fault: a filter or a body of a user holds the server, or is a 500; siblings:
    `test_an_expression_cannot_hold_the_server`, `test_a_deep_or_large_body_is_refused`,
    `test_a_long_scan_ends_its_page`.
    """
    status, answer = _ask(call, source)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]


@pytest.mark.parametrize(
    "source",
    [
        "severity>=0 " * 500,
        "insertId!=b AND " * 499 + "insertId!=a",
        "NOT " * 4_000 + "severity=0",
        "(" * 50 + "severity=0" + ")" * 50,
        r'textPayload!="\ud800"',
        r'log_name!="\ud800"',
        r'insertId!="\u0000"',
    ],
)
def test_a_filter_at_its_bounds_is_answered(write: Send, call: Send, source: str) -> None:
    """What is just within the bounds works."""
    write({"textPayload": "a"})
    status, answer = _ask(call, source)
    assert (status, len(answer.get("entries", ()))) == (200, 1), answer


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/entries:write", b'{"entries": ' + DEEP + b"}"),
        ("/v2/entries:write", b'{"entries": [' + DEEP + b"]}"),
        ("/v2/entries:write", b'{"entries": [{"jsonPayload": {"a": ' + DEEP + b"}}]}"),
        ("/v2/entries:write", b'{"entries": [{"labels": {"a": ' + DEEP + b"}}]}"),
        ("/v2/entries:write", b'{"entries": [{"severity": ' + DEEP + b"}]}"),
        ("/v2/entries:write", b'{"entries": [{"resource": {"type": ' + DEEP + b"}}]}"),
        ("/v2/entries:write", b'{"labels": ' + DEEP + b"}"),
        ("/v2/entries:write", b"[" * 100_000),
        ("/v2/entries:list", b'{"filter": ' + DEEP + b"}"),
        ("/v2/entries:list", b'{"resourceNames": ' + DEEP + b"}"),
        ("/v2/entries:list", b'{"projectIds": ' + DEEP + b"}"),
        ("/v2/entries:list", b'{"pageSize": 1e999, "resourceNames": ["projects/p"]}'),
        ("/v2/entries:list", b'{"pageToken": "WyJhIiwxZTMwOCwxXQ==", "projectIds": ["p"]}'),
        ("/emulator/entries:list", DEEP),
        ("/emulator/faults", DEEP),
        ("/emulator/faults", b'{"kind": ' + DEEP + b"}"),
        ("/emulator/faults", b'{"kind": "delay", "seconds": ' + DEEP + b"}"),
        ("/emulator/faults", b" " * 10_485_770),
        ("/emulator/entries:list", b" " * 10_485_770),
    ],
)
def test_a_deep_or_large_body_is_refused(call: Send, path: str, body: bytes) -> None:
    """A body that is deep, large or out of range is 400 in the API's form on every call."""
    status, answer = call("POST", path, body, timeout=60)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert len(answer["error"]["message"]) < 2_000


def test_a_long_scan_ends_its_page(write: Send, call: Send, emulator: Emulator) -> None:
    """A page that takes too long ends with a token; the next one goes on where it ended."""
    texts = [f"{number} " + "x y " * 200 for number in range(400)]
    for start in range(0, 400, 100):
        batch = [{"textPayload": text} for text in texts[start : start + 100]]
        assert write(*batch)[0] == 200
    source = " ".join(f'NOT textPayload=~"([a-z] )+{number}z"' for number in range(40))
    body = {"resourceNames": ["projects/p"], "filter": source, "pageSize": 1000}
    status, answer = call("POST", "/v2/entries:list", body, timeout=60)
    assert (status, "nextPageToken" in answer) == (200, True)
    assert len(answer["entries"]) < 400
    second = call(
        "POST", "/v2/entries:list", {**body, "pageToken": answer["nextPageToken"]}, timeout=60
    )
    ids = [entry["insertId"] for page in (answer, second[1]) for entry in page["entries"]]
    assert ids == [entry["insertId"] for entry in emulator.entries()][: len(ids)]
