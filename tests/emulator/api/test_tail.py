"""entries:tail over HTTP: a JSON array whose elements come as entries arrive."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.logging_v2.types import TailLogEntriesResponse

from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Send = Callable[..., tuple[int, dict[str, Any]]]
    Eventually = Callable[[Callable[[], bool]], None]

ENTRY = {"logName": "projects/p/logs/web", "resource": {"type": "global"}}
NOW = {"resourceNames": ["projects/p"], "bufferWindow": "0s"}


@contextmanager
def tailing(emulator: Emulator, body: dict[str, Any]) -> Iterator[http.client.HTTPResponse]:
    """Make the call and give its answer, of which the bracket is read."""
    connection = http.client.HTTPConnection(emulator.host, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v2/entries:tail", json.dumps(body), headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read(1)) == (200, b"[")
        yield answer
    finally:
        connection.close()


def message(answer: http.client.HTTPResponse) -> list[dict[str, Any]]:
    """Return the entries of the next element."""
    line = answer.readline().lstrip(b",")
    entries: list[dict[str, Any]] = json.loads(line)["entries"]
    return entries


def texts(entries: list[dict[str, Any]]) -> list[str]:
    """Return the texts of entries."""
    return [entry["textPayload"] for entry in entries]


def test_entries_come_as_they_arrive(write: Send, emulator: Emulator) -> None:
    """What is written after the call began is sent, in one array; what was there is not."""
    write({"textPayload": "before"})
    with tailing(emulator, NOW) as answer:
        write({"textPayload": "a"}, {"textPayload": "b"})
        assert texts(message(answer)) == ["a", "b"]
        write({"textPayload": "c"})
        rest = answer.readline()
        assert rest.startswith(b",")
        assert texts(json.loads(rest[1:])["entries"]) == ["c"]


def test_an_element_is_googles_message(write: Send, emulator: Emulator) -> None:
    """Google's own type for an element of the stream reads it, and the entry is whole."""
    with tailing(emulator, NOW) as answer:
        write({"jsonPayload": {"a": 1}, "severity": "ERROR", "labels": {"k": "v"}})
        found = TailLogEntriesResponse.from_json(answer.readline().decode())
    [entry] = found.entries
    assert (entry.log_name, dict(entry.labels)) == (ENTRY["logName"], {"k": "v"})
    assert dict(entry.json_payload) == {"a": 1}
    assert not found.suppression_info


def test_it_is_filtered(write: Send, emulator: Emulator) -> None:
    """Only entries below the named resources that match the filter are sent."""
    asked = {**NOW, "filter": 'severity>=ERROR OR textPayload="x"', "resourceNames": ["projects/p"]}
    with tailing(emulator, asked) as answer:
        write({"textPayload": "no"}, {"textPayload": "yes", "severity": "ERROR"})
        write({"textPayload": "x", "logName": "projects/q/logs/web"}, {"textPayload": "x"})
        assert texts(message(answer)) == ["yes"]
        assert texts(message(answer)) == ["x"]


def test_the_window_puts_late_entries_in_order(write: Send, emulator: Emulator) -> None:
    """Entries that arrive within the buffer window come in one element, by their timestamps."""
    first = time.time()
    stamps = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first - ago)) for ago in (10, 20, 5)]
    with tailing(emulator, {**NOW, "bufferWindow": "1.5s"}) as answer:
        for number, stamp in enumerate(stamps):
            write({"textPayload": str(number), "timestamp": stamp})
        begun = time.monotonic()
        found = texts(message(answer))
        assert found == sorted(found, key=lambda text: stamps[int(text)])
        assert time.monotonic() - begun < 30
    assert found[0] == "1" or len(found) < 3  # a busy machine may write for longer than that


def test_the_default_window_is_two_seconds(write: Send, emulator: Emulator) -> None:
    """Without a window entries wait two seconds for late ones."""
    with tailing(emulator, {"resourceNames": ["projects/p"]}) as answer:
        begun = time.monotonic()
        write({"textPayload": "a"})
        message(answer)
        assert time.monotonic() - begun >= 1.99


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "resource_names is required"),
        ({**NOW, "bufferWindow": "61s"}, "buffer_window 61s is out of range"),
        ({**NOW, "bufferWindow": "-1s"}, "buffer_window -1s is out of range"),
        ({**NOW, "bufferWindow": 2}, "Duration"),
        ({**NOW, "filter": "a AND"}, "Unparseable filter"),
        ({**NOW, "pageSize": 1}, 'Unknown name "pageSize"'),
        ({**NOW, "resourceNames": ["p"]}, "is not of the form"),
    ],
)
def test_a_wrong_call_is_refused(call: Send, body: dict[str, Any], text: str) -> None:
    """What does not fit the call is 400 with the reason, before anything is streamed."""
    status, answer = call("POST", "/v2/entries:tail", body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]


def test_entries_after_a_reset_are_not_missed(write: Send, emulator: Emulator) -> None:
    """Removing entries while a tail runs takes nothing from it that is written later."""
    with tailing(emulator, NOW) as answer:
        write({"textPayload": "a"})
        assert texts(message(answer)) == ["a"]
        emulator.reset()
        write({"textPayload": "b"})
        assert texts(message(answer)) == ["b"]


def test_a_client_that_goes_away_is_forgotten(
    write: Send, emulator: Emulator, eventually: Eventually
) -> None:
    """A tail whose client is gone ends, and holds no connection."""
    before = emulator.stats()["connections"]["open"]
    with tailing(emulator, NOW):
        assert emulator.stats()["connections"]["open"] == before + 1
    eventually(lambda: emulator.stats()["connections"]["open"] == before)
    assert write({"textPayload": "a"})[0] == 200


def test_it_ends_with_the_emulator() -> None:
    """An emulator that is stopped ends the array; a tail does not hold it back."""
    with Emulator.start() as emulator, tailing(emulator, NOW) as answer:
        begun = time.monotonic()
        emulator.stop()
        assert answer.read() == b"]"
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize("kind", ["status", "drop"])
def test_faults_hit_it(emulator: Emulator, call: Send, kind: str) -> None:
    """A fault on any call hits it before it begins to stream."""
    emulator.fault(kind, count=1, **({"status": 429} if kind == "status" else {}))
    if kind == "status":
        assert call("POST", "/v2/entries:tail", NOW)[0] == 429
    else:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            call("POST", "/v2/entries:tail", NOW)
    with tailing(emulator, NOW):
        assert emulator.stats()["requests"] == 2


def test_a_filter_that_takes_too_long_ends_the_array(write: Send, emulator: Emulator) -> None:
    """An entry on which the filter's expression takes too long is an error, as the last element."""
    with tailing(emulator, {**NOW, "filter": 'textPayload=~"(x+x+)+y"'}) as answer:
        write({"textPayload": "xxy"})
        first = answer.readline()
        write({"textPayload": "x" * 5000})
        _, last = json.loads(b"[" + first + answer.read())
        assert "takes too long" in last["error"]["message"]
        assert answer.isclosed()
