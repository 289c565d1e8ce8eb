"""entries:list over a real socket: pages, order, parents, filters, refusals."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[..., tuple[int, dict[str, Any]]]

START = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)


def _entry(number: int, **fields: object) -> dict[str, object]:
    when = (START + timedelta(seconds=number // 3)).isoformat()
    return {"textPayload": str(number), "timestamp": when, "insertId": f"{number:04}", **fields}


def _pages(call: Send, **request: object) -> list[list[str]]:
    pages, token = [], ""
    while True:
        body = {"resourceNames": ["projects/p"], **request, "pageToken": token}
        status, answer = call("POST", "/v2/entries:list", body)
        assert status == 200, answer
        pages.append([entry["textPayload"] for entry in answer.get("entries", [])])
        if not (token := answer.get("nextPageToken", "")):
            return pages


def test_pages_hold_every_entry_once_in_order(write: Send, call: Send) -> None:
    """Oldest first, equal times by insertId, in pages of the size asked for."""
    write(*[_entry(number) for number in reversed(range(25))])
    pages = _pages(call, pageSize=7)
    assert [len(page) for page in pages] == [7, 7, 7, 4]
    assert list(chain(*pages)) == [str(number) for number in range(25)]


def test_newest_first_keeps_insert_ids_ascending(write: Send, call: Send) -> None:
    """In descending order the times fall and equal times still go by insertId."""
    write(*[_entry(number) for number in range(9)])
    pages = _pages(call, pageSize=2, orderBy="timestamp desc")
    assert list(chain(*pages)) == ["6", "7", "8", "3", "4", "5", "0", "1", "2"]


def test_pages_are_stable_while_writes_go_on(write: Send, call: Send) -> None:
    """Entries written after the first page, before or behind it in time, are not in later ones."""
    write(*[_entry(number) for number in range(10, 20)])
    body: dict[str, object] = {"resourceNames": ["projects/p"], "pageSize": 4}
    seen = []
    while True:
        _, answer = call("POST", "/v2/entries:list", body)
        seen += [entry["textPayload"] for entry in answer["entries"]]
        if "nextPageToken" not in answer:
            break
        body["pageToken"] = answer["nextPageToken"]
        write(_entry(len(seen) - 10 + 10), _entry(100 + len(seen)))
    assert seen == [str(number) for number in range(10, 20)]
    assert len(list(chain(*_pages(call)))) == 14


def test_the_default_page_has_fifty_entries(write: Send, call: Send) -> None:
    """Without a pageSize, or with 0, a page has 50 entries; 1000 is the most."""
    write(*[_entry(number) for number in range(60)])
    assert [len(page) for page in _pages(call)] == [50, 10]
    assert [len(page) for page in _pages(call, pageSize=0)] == [50, 10]
    assert [len(page) for page in _pages(call, page_size=1000)] == [60]


def test_only_the_named_parents_are_listed(write: Send, call: Send) -> None:
    """Entries of other projects are left out; views and folders name their parent."""
    write(
        _entry(1), _entry(2, logName="projects/q/logs/web"), _entry(3, logName="folders/7/logs/x")
    )
    assert _pages(call) == [["1"]]
    assert _pages(call, resourceNames=["projects/q", "folders/7"]) == [["2", "3"]]
    view = "projects/q/locations/global/buckets/_Default/views/_AllLogs"
    assert _pages(call, resourceNames=[view]) == [["2"]]
    assert _pages(call, resourceNames=[], projectIds=["q"]) == [["2"]]


def test_a_filter_holds_across_pages(write: Send, call: Send) -> None:
    """Pages of a filtered list are full and hold exactly what matches."""
    write(*[_entry(number, severity="ERROR" if number % 3 else "INFO") for number in range(30)])
    pages = _pages(call, pageSize=6, filter='severity>=WARNING AND NOT textPayload:"1"')
    numbers = [str(number) for number in range(30) if number % 3 and "1" not in str(number)]
    assert list(chain(*pages)) == numbers
    assert len(pages[0]) == 6


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"resourceNames": []}, "resource_names is required"),
        ({"resourceNames": ["p"]}, "not of the form"),
        ({"resourceNames": ["projects/p"] * 101}, "limit of 100"),
        ({"pageSize": -1}, "out of range"),
        ({"pageSize": 1001}, "out of range"),
        ({"orderBy": "severity"}, "is not supported"),
        ({"pageToken": "abc"}, "not one that this server gave out"),
        ({"filter": "severity>=\n LOUD"}, "'LOUD' is not a severity"),
        ({"filter": "severity>=\n LOUD"}, "line 2, column 2"),
        ({"filter": "colour=red"}, "no field 'colour' at line 1, column 1"),
        ({"filter": "a" * 20_001}, "the limit is 20000"),
        ({"filter": 5}, "TYPE_STRING"),
        ({"colour": 5}, "Unknown name"),
    ],
)
def test_a_wrong_request_is_refused(call: Send, change: dict[str, object], text: str) -> None:
    """Each wrong argument is INVALID_ARGUMENT and named, a filter with its line and column."""
    body = {"resourceNames": ["projects/p"], **change}
    status, answer = call("POST", "/v2/entries:list", body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]


def test_a_page_token_goes_with_its_call(write: Send, call: Send) -> None:
    """A token used with another filter is refused."""
    write(_entry(1), _entry(2))
    body: dict[str, object] = {"resourceNames": ["projects/p"], "pageSize": 1}
    token = call("POST", "/v2/entries:list", body)[1]["nextPageToken"]
    status, answer = call("POST", "/v2/entries:list", {**body, "filter": "a", "pageToken": token})
    assert status == 400
    assert "another filter" in answer["error"]["message"]
