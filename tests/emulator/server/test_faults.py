"""Every fault over real sockets: what a client sees of it, what is stored, and how it ends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from forklog.emulator.process import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]
    Eventually = Callable[[Callable[[], bool]], None]

JSON = {"Content-Type": "application/json"}
ENTRY = {"textPayload": "a"}
NO_ANSWER = (http.client.BadStatusLine, ConnectionError)


def _body(text: str = "a") -> bytes:
    entry = {"textPayload": text, "insertId": text, "resource": {"type": "global"}}
    return json.dumps({"logName": "projects/p/logs/web", "entries": [entry]}).encode()


def _request() -> bytes:
    head = "POST /v2/entries:write HTTP/1.1\r\nHost: localhost\r\n"
    kind = "Content-Type: application/json\r\n"
    return f"{head}{kind}Content-Length: {len(_body())}\r\n\r\n".encode() + _body()


def _connect(emulator: Emulator) -> socket.socket:
    host, _, port = emulator.host.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_delay_holds_the_answer_back(emulator: Emulator, write: Send) -> None:
    """A delayed call takes as long as asked and is then handled; the next one is not delayed."""
    emulator.fault("delay", seconds=0.3, count=1)
    begin = time.monotonic()
    assert write(ENTRY)[0] == 200
    assert 0.3 <= time.monotonic() - begin < 5
    assert emulator.faults() == []
    assert emulator.stats()["entries_stored"] == 1


def test_status_answers_the_next_calls(emulator: Emulator, write: Send) -> None:
    """The status is answered so many times, in the API's form, and nothing is stored by them."""
    emulator.fault("status", status=503, count=2)
    for _ in range(2):
        status, answer = write(ENTRY)
        assert (status, answer["error"]["status"]) == (503, "UNAVAILABLE")
    assert write(ENTRY) == (200, {})
    stats = emulator.stats()
    assert (stats["entries_stored"], stats["faults"]) == (1, 2)


def test_status_may_have_a_body_and_a_retry_after(emulator: Emulator) -> None:
    """Body and Retry-After are sent as asked, a text as HTML, an object as JSON."""
    emulator.fault("status", status=429, retry_after=2, body="<p>later</p>", count=1)
    emulator.fault("status", status=500, body={"a": 1}, count=1)
    connection = http.client.HTTPConnection(emulator.host, timeout=10)
    connection.request("POST", "/v2/entries:write", _body(), JSON)
    first = connection.getresponse()
    assert (first.status, first.getheader("Retry-After")) == (429, "2")
    assert (first.read(), first.headers.get_content_type()) == (b"<p>later</p>", "text/html")
    connection.request("POST", "/v2/entries:write", _body(), JSON)
    assert json.loads(connection.getresponse().read()) == {"a": 1}
    connection.close()


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_drop_closes_without_an_answer(
    emulator: Emulator, write: Send, when: str, stored: int
) -> None:
    """The connection ends without an answer, before or after the entries are stored."""
    emulator.fault("drop", count=1, when=when)
    with pytest.raises(NO_ANSWER):
        write(ENTRY)
    assert emulator.stats()["entries_stored"] == stored
    assert write(ENTRY)[0] == 200


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_hang_never_answers(
    emulator: Emulator, call: Send, when: str, stored: int, eventually: Eventually
) -> None:
    """The call is taken and not answered; who gives up is not stored behind his back."""
    emulator.fault("hang", count=1, when=when)
    with _connect(emulator) as waiting:
        waiting.sendall(_request())
        waiting.settimeout(0.3)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
    eventually(lambda: emulator.stats()["connections"]["open"] == 0)
    emulator.clear_faults()
    assert call("POST", "/v2/entries:write", _body("b"))[0] == 200
    stats = emulator.stats()
    assert stats["entries_stored"] == stored + 1


def test_clearing_lets_hanging_and_delayed_calls_go_on(
    emulator: Emulator, write: Send, eventually: Eventually
) -> None:
    """A call that hangs is handled and answered when the faults are cleared."""
    emulator.fault("hang", count=1)
    emulator.fault("delay", seconds=3600, count=1)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(write(ENTRY)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: emulator.stats()["faults"] == 2)
    assert answers == []
    emulator.clear_faults()
    for thread in threads:
        thread.join(10)
    assert answers == [200, 200]
    assert emulator.stats()["entries_stored"] == 2


def test_outage_refuses_and_breaks_connections(
    emulator: Emulator, write: Send, eventually: Eventually
) -> None:
    """Open connections end, new ones are refused, and the same port listens again in time."""
    write(ENTRY)
    with _connect(emulator) as idle:
        begin = time.monotonic()
        emulator.fault("outage", seconds=0.5)
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        write(ENTRY)
    entries = emulator.wait_for(bool, timeout=10)
    assert 0.5 <= time.monotonic() - begin < 10
    assert len(entries) == 1
    assert write(ENTRY)[0] == 200
    eventually(lambda: emulator.stats()["connections"]["open"] == 0)


def test_idle_close_closes_unannounced(emulator: Emulator) -> None:
    """The answer does not say that the connection closes, and then it does."""
    emulator.fault("idle_close")
    for _ in range(2):
        connection = http.client.HTTPConnection(emulator.host, timeout=10)
        connection.request("POST", "/v2/entries:write", _body(), JSON)
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (200, None)
        response.read()
        assert connection.sock.recv(1) == b""
        connection.close()
    emulator.clear_faults()


def test_refuse_is_a_partial_error(emulator: Emulator, write: Send) -> None:
    """The entries at the armed indices are refused, their neighbours stored, count times."""
    emulator.fault("refuse", index=1, count=1)
    emulator.fault("refuse", index=2, count=1, code=7)
    emulator.fault("refuse", index=9, count=1)
    texts = [{"textPayload": str(number)} for number in range(4)]
    status, answer = write(*texts, partialSuccess=True)
    errors = answer["error"]["details"][0]["logEntryErrors"]
    assert status == 400
    assert {index: error["code"] for index, error in errors.items()} == {"1": 3, "2": 7}
    assert [entry["textPayload"] for entry in emulator.entries()] == ["0", "3"]
    assert write(*texts, partialSuccess=True) == (200, {})


def test_refuse_without_partial_success_refuses_all(emulator: Emulator, write: Send) -> None:
    """A refused entry fails the whole write if partial success is not asked for."""
    emulator.fault("refuse", index=0, count=1, code=7)
    status, answer = write(ENTRY, ENTRY)
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert emulator.entries() == []


def test_faults_hit_the_calls_they_are_for(emulator: Emulator, write: Send, call: Send) -> None:
    """`on` limits a fault to writes or lists, and control calls never meet one."""
    emulator.fault("status", status=500, on="write", count=1)
    emulator.fault("status", status=502, on="list", count=1)
    emulator.fault("status", status=504)
    listing = {"resourceNames": ["projects/p"]}
    assert call("POST", "/v2/entries:list", listing)[0] == 502
    assert write(ENTRY)[0] == 500
    assert write(ENTRY)[0] == call("POST", "/v2/entries:list", listing)[0] == 504
    assert emulator.entries() == []
    assert emulator.faults()[0]["status"] == 504
    emulator.clear_faults()
    assert write(ENTRY)[0] == 200


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("sleep", {}, "kind='sleep': must be one of delay"),
        ("delay", {}, "seconds is missing: delay needs it"),
        ("delay", {"seconds": -1}, "seconds=-1: must be a number of seconds from 0 to 3600"),
        ("status", {"status": 200}, "status=200: must be an HTTP status from 400 to 599"),
        ("drop", {"count": 0}, "count=0: must be a whole number"),
        ("drop", {"when": "now"}, "when='now': must be 'before' or 'after'"),
        ("outage", {"seconds": 1, "count": 2}, "count=2: outage has no such option"),
        ("refuse", {"index": "x"}, "index='x': must be an index"),
        ("hang", {"seconds": 1}, "seconds=1: hang has no such option"),
        ("idle_close", {"on": "all"}, "on='all': must be 'any', 'write' or 'list'"),
        ("quota", {}, "per_second is missing: quota needs it, a number above 0"),
        ("quota", {"per_second": 0}, "per_second=0: must be a number above 0"),
        ("quota", {"per_second": 1, "unit": "entries"}, "unit='entries': must be 'requests' or"),
    ],
)
def test_a_wrong_fault_is_refused(
    emulator: Emulator, kind: str, options: dict[str, Any], text: str
) -> None:
    """The answer names option, value and rule, and nothing is armed."""
    with pytest.raises(EmulatorError) as caught:
        emulator.fault(kind, **options)
    assert str(caught.value).startswith(text)
    assert emulator.faults() == []


def test_a_quota_of_requests_refuses_what_is_above_it(emulator: Emulator, write: Send) -> None:
    """Writes above the quota get 429 with its name, as the API words it; clearing it ends that."""
    emulator.fault("quota", per_second=0.01)
    assert write(ENTRY)[0] == 200
    status, answer = write(ENTRY)
    error = answer["error"]
    assert (status, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert "quota metric 'Write requests' and limit 'Write requests per minute'" in error["message"]
    assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert error["details"][0]["metadata"]["quota_limit_value"] == "1"
    assert emulator.stats()["entries_stored"] == 1
    emulator.clear_faults()
    assert write(ENTRY)[0] == 200


def test_a_quota_of_bytes_counts_the_body(emulator: Emulator, write: Send) -> None:
    """A write larger than a second's bytes passes a full bucket, and then none does for long."""
    emulator.fault("quota", per_second=20, unit="bytes")
    assert write(ENTRY)[0] == 200
    status, answer = write(ENTRY)
    assert status == 429
    assert "Log write bytes per minute per region" in answer["error"]["message"]


def test_a_quota_comes_back_with_time(
    emulator: Emulator, write: Send, eventually: Eventually
) -> None:
    """After a refusal the same write is taken once there are tokens again."""
    emulator.fault("quota", per_second=2)
    statuses = [write(ENTRY)[0] for _ in range(4)]
    assert 429 in statuses
    eventually(lambda: write(ENTRY)[0] == 200)


def test_a_quota_refuses_no_listing(emulator: Emulator, write: Send) -> None:
    """Only writes count; reading has its own quota, which the emulator does not have."""
    emulator.fault("quota", per_second=0.01)
    assert write(ENTRY)[0] == 200
    assert write(ENTRY)[0] == 429
    assert len(list(emulator.entries())) == 1


def test_a_fault_that_is_no_object_is_refused(call: Send) -> None:
    """A list, or text that is not JSON, is a 400."""
    assert call("POST", "/emulator/faults", b"[]")[0] == 400
    assert call("POST", "/emulator/faults", b"{")[0] == 400


@pytest.mark.parametrize("depth", [253, 252, 251, 250])
def test_a_body_that_cannot_be_shown_is_refused(call: Send, write: Send, depth: int) -> None:
    """Whatever is armed can be listed and answered; a body of too many levels is a 400."""
    body: dict[str, Any] = {}
    for _ in range(depth):
        body = {"a": body}
    fault = {"kind": "status", "status": 429, "count": 1, "body": body}
    status, answer = call("POST", "/emulator/faults", fault)
    if status != 200:
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert answer["error"]["message"].startswith("body={...}: must be")
    assert len(call("GET", "/emulator/faults")[1]["faults"]) == (status == 200)
    assert write(ENTRY)[0] == (429 if status == 200 else 200)


def test_connections_are_counted_without_the_control_ones(
    emulator: Emulator, eventually: Eventually
) -> None:
    """Open and accepted connections of the service are counted; asking does not change them."""
    connections = [http.client.HTTPConnection(emulator.host, timeout=10) for _ in range(3)]
    for number, connection in enumerate(connections):
        for _ in range(2):
            connection.request("POST", "/v2/entries:write", _body(str(number)), JSON)
            assert connection.getresponse().read() == b"{}"
    assert emulator.stats()["connections"] == {"open": 3, "total": 3}
    connections[0].close()
    eventually(lambda: emulator.stats()["connections"] == {"open": 2, "total": 3})
    for connection in connections:
        connection.close()
    eventually(lambda: emulator.stats()["connections"] == {"open": 0, "total": 3})
    assert emulator.stats()["requests"] == 6
