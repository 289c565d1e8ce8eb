"""The stream behind the page, read without a browser."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from forklog.emulator.api.reader import Arrived
from forklog.emulator.api.store import Recent
from forklog.emulator.page.summary import MAX_TEXT, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]
    Event = tuple[str, Any]

_TEXT, _PROCESS, _REQUEST, _COPIES = 8, 4, 9, 7


@contextmanager
def events(emulator: Emulator, source: str = "") -> Iterator[Iterator[Event]]:
    """Open the stream and give its events."""
    connection = http.client.HTTPConnection(emulator.host, timeout=60)
    try:
        connection.request("GET", f"/emulator/live?filter={quote(source)}")
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"

        def read() -> Iterator[Event]:
            name = ""
            for raw in answer:
                head, _, value = raw.decode().rstrip("\n").partition(": ")
                if head == "event":
                    name = value
                elif head == "data":
                    yield name, json.loads(value)

        yield read()
    finally:
        connection.close()


def following(stream: Iterator[Event], name: str) -> Any:
    """Return the value of the next event of a name."""
    return next(value for event, value in stream if event == name)


def texts(stream: Iterator[Event]) -> list[str]:
    """Return the texts of the next entries that come."""
    while not (rows := following(stream, "rows")["rows"]):
        pass
    return [row[_TEXT] for row in rows]


def test_what_is_there_comes_before_what_arrives(write: Send, emulator: Emulator) -> None:
    """The stream begins with the entries that are stored, and goes on with those that come."""
    write({"textPayload": "a"}, {"textPayload": "b"})
    with events(emulator) as stream:
        assert next(stream)[0] == "hello"
        assert texts(stream) == ["a", "b"]
        write({"textPayload": "c"})
        assert texts(stream) == ["c"]


def test_the_end_of_what_is_there_is_known(write: Send, emulator: Emulator) -> None:
    """The last of the chunks says that none is left, also where it is just full, or empty."""
    for count in (0, 499, 1, 1):
        if count:
            write(*[{"textPayload": "a"}] * count)
        with events(emulator) as stream:
            while following(stream, "rows")["left"]:
                pass


def test_copies_are_sent_of_an_entry_that_was_seen(write: Send, emulator: Emulator) -> None:
    """An entry that is written again comes as the number of its copies, not as a row."""
    write({"textPayload": "now"})
    now = emulator.entries()[0]["timestamp"]
    one = {"textPayload": "a", "insertId": "1", "timestamp": now}
    write(one)
    with events(emulator) as stream:
        (_, row) = following(stream, "rows")["rows"]
        assert row[_COPIES] == 1
        write(one)
        assert following(stream, "copies") == [[row[0], 2]]


def test_a_removal_begins_anew(write: Send, emulator: Emulator, call: Send) -> None:
    """When entries are removed the stream begins again with what is left."""
    write({"textPayload": "a"}, {"textPayload": "b", "logName": "projects/p/logs/other"})
    with events(emulator) as stream:
        assert texts(stream) == ["a", "b"]
        assert call("DELETE", "/v2/projects/p/logs/other")[0] == 200
        assert following(stream, "hello")
        assert texts(stream) == ["a"]
        emulator.reset()
        assert following(stream, "hello")
        write({"textPayload": "c"})
        assert texts(stream) == ["c"]


def test_faults_and_counts_are_in_the_stream(write: Send, emulator: Emulator) -> None:
    """What is armed and counted is sent when it has changed, although nothing arrived."""
    with events(emulator) as stream:
        assert following(stream, "state")["faults"] == []
        emulator.fault("status", status=503, count=1)
        assert following(stream, "state")["faults"][0]["kind"] == "status"
        assert write({"textPayload": "a"})[0] == 503
        while (state := following(stream, "state"))["faults"]:
            pass
        assert state["stats"]["faults"] == 1


def test_a_wrong_filter_opens_no_stream(call: Send) -> None:
    """A filter that is not in the language is 400, and the check gives its place."""
    assert call("GET", "/emulator/live?filter=a+AND")[0] == 400
    found = call("POST", "/emulator/filter", {"filter": "a\nb AND"})
    message = "unexpected end of the filter"
    error = {"message": message, "position": 7, "line": 2, "column": 6}
    assert found == (200, {"error": error})
    assert call("POST", "/emulator/filter", {"filter": "a"}) == (200, {"error": None})
    for body in (b"[", {"filter": 1}, [1]):
        assert call("POST", "/emulator/filter", body)[0] == 400


def test_a_long_filter_fits(write: Send, emulator: Emulator) -> None:
    """A filter of the language's 20,000 characters can be streamed, all of them encoded."""
    source = "textPayload=(" + " OR ".join(['"\u20ac"'] * 400 + ["a"]) + ")"
    source += " " * (20_000 - len(source))
    write({"textPayload": "a"}, {"textPayload": "b"})
    with events(emulator, source) as stream:
        assert texts(stream) == ["a"]


def test_one_entry_is_whole(write: Send, emulator: Emulator, call: Send) -> None:
    """An entry is had by its position; one that was removed, or never was, is 404."""
    write({"textPayload": "a" * 2000})
    with events(emulator) as stream:
        (row,) = following(stream, "rows")["rows"]
    assert len(row[_TEXT]) == MAX_TEXT
    assert call("GET", f"/emulator/entries/{row[0]}")[1] == emulator.entries()[0]
    emulator.reset()
    for position in (row[0], 0, "9" * 19):
        assert call("GET", f"/emulator/entries/{position}")[0] == 404


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"textPayload": "a"}, "a"),
        ({"jsonPayload": {"message": "a", "b": 1}}, "a"),
        ({"jsonPayload": {"msg": "a"}}, "a"),
        ({"jsonPayload": {"message": {"a": 1}}}, '{"message":{"a":1}}'),
        ({"jsonPayload": {"a": 1}}, '{"a":1}'),
        ({"jsonPayload": {}}, ""),
        ({"protoPayload": {"@type": "t"}}, '{"@type":"t"}'),
        ({}, ""),
    ],
)
def test_the_text_of_a_line(entry: dict[str, Any], text: str) -> None:
    """A line has the message of its entry, or what else it says."""
    assert _summary(entry)[_TEXT] == text


@pytest.mark.parametrize(
    ("labels", "process"),
    [
        ({"process_id": "7"}, "7"),
        ({"process_id": "7", "host": "h", "process_name": "MainProcess"}, "h/7"),
        ({"process_id": "7", "process_name": "P-1", "uwsgi_worker_id": "2"}, "7 P-1 worker 2"),
        ({"host": "h"}, ""),
    ],
)
def test_the_process_of_a_line(labels: dict[str, str], process: str) -> None:
    """A process is named by the labels of `process_labels`."""
    assert _summary({"labels": labels})[_PROCESS] == process


def test_the_request_of_a_line() -> None:
    """A request is its method, URL, status and latency, as far as they are known."""
    whole = {"requestMethod": "GET", "requestUrl": "/", "status": 200, "latency": "1s"}
    assert _summary({"httpRequest": whole})[_REQUEST] == ["GET", "/", 200, "1s"]
    assert _summary({"httpRequest": {"status": 500}})[_REQUEST] == ["", "", 500, ""]
    assert _summary({})[_REQUEST] is None


def _summary(entry: dict[str, Any]) -> list[Any]:
    row = Recent(1, 1_000_000, "i", 200, 1, b"")
    return summary(Arrived(row, {"logName": "projects/p/logs/l", **entry}))
