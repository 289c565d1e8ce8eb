"""The limits of entries:write over a real socket: size, time, and the room a large write leaves."""

from __future__ import annotations

import http.client
import json
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]


def _ahead(**delta: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(**delta)).isoformat()


def test_a_request_over_ten_mebibytes_is_refused(call: Send) -> None:
    """The limit is exact: 10,485,760 bytes pass, one more is INVALID_ARGUMENT."""
    envelope = len(json.dumps({"entries": [], "logName": ""}))
    raw = json.dumps({"entries": [], "logName": "x" * (10_485_760 - envelope)}).encode()
    assert len(raw) == 10_485_760
    assert call("POST", "/v2/entries:write", raw) == (200, {})
    status, answer = call("POST", "/v2/entries:write", raw + b" ")
    assert status == 400
    text = "Request payload size exceeds the limit: 10485760 bytes."
    assert answer["error"]["message"] == text


def test_an_entry_over_256_kibibytes_is_refused(write: Send, emulator: Emulator) -> None:
    """A large text is judged by its UTF-8 bytes, and its neighbours arrive."""
    entries = [{"textPayload": "é" * size} for size in (130_000, 131_100)]
    status, answer = write(*entries, partialSuccess=True)
    assert status == 400
    assert "exceeds maximum size of 256.0K" in answer["error"]["message"]
    assert [len(entry["textPayload"]) for entry in emulator.entries()] == [130_000]


def test_timestamps_have_their_bounds(write: Send, emulator: Emulator) -> None:
    """23 h ahead is kept, 25 h refused, 29 days old kept, 31 days old accepted but not kept."""
    for delta, expected in (({"hours": 23}, 200), ({"hours": 25}, 400), ({"days": -29}, 200)):
        assert write({"textPayload": "a", "timestamp": _ahead(**delta)})[0] == expected
    assert write({"textPayload": "old", "timestamp": _ahead(days=-31)}) == (200, {})
    assert len(emulator.entries()) == 2
    assert emulator.stats()["expired"] == 1


def test_control_calls_answer_during_a_large_write(
    write: Send, emulator: Emulator, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """While a write of a hundred thousand entries is under way, the counts can be asked for."""
    entries = [{"textPayload": "a"}] * 100_000
    writing = threading.Thread(target=write, args=entries)
    writing.start()

    def is_under_way() -> bool:
        stats = emulator.stats()
        assert stats["entries_stored"] == 0, "the counts came only after the write"
        return bool(stats["requests"] == 1 and stats["bytes"] > 0)

    eventually(is_under_way)
    writing.join(60)
    assert emulator.stats()["entries_stored"] == 100_000


def test_the_bytes_of_requests_that_overlap_are_all_counted(
    write: Send, emulator: Emulator, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """A request whose body comes late does not take away what came meanwhile."""
    body = b'{"entries": []}'
    late = http.client.HTTPConnection(emulator.host, timeout=60)
    late.putrequest("POST", "/v2/entries:write")
    late.putheader("Content-Type", "application/json")
    late.putheader("Content-Length", str(len(body)))
    late.endheaders(body[:5])
    eventually(lambda: emulator.stats()["requests"] == 1)
    assert write({"textPayload": "meanwhile"})[0] == 200
    meanwhile = emulator.stats()["bytes"]
    assert meanwhile > 0
    late.send(body[5:])
    assert late.getresponse().read() == b"{}"
    late.close()
    assert emulator.stats()["bytes"] == meanwhile + len(body)
