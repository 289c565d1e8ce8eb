"""The export: what the emulator holds, as JSON lines."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud import logging as google_logging

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]
    Export = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def export(emulator: Emulator) -> Export:
    """Return a function that exports and returns the parsed lines."""

    def ask(**query: str) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection(emulator.host, timeout=60)
        try:
            connection.request("GET", f"/emulator/entries?{urlencode(query)}")
            answer = connection.getresponse()
            assert answer.getheader("Content-Type") == "application/jsonl"
            assert 'filename="entries.jsonl"' in str(answer.getheader("Content-Disposition"))
            body = answer.read()
        finally:
            connection.close()
        assert body == b"" or body.endswith(b"}\n")
        return [json.loads(line) for line in body.splitlines()]

    return ask


def test_all_entries_are_there(write: Send, export: Export, emulator: Emulator) -> None:
    """Each entry is one line, oldest first, equal to what a list gives; pages leave no seam."""
    assert export() == []
    for start in range(0, 2500, 500):
        write(*[{"textPayload": f"a\nb\u2028 {start + n}"} for n in range(500)])
    write({"textPayload": "q", "logName": "projects/q/logs/web"})
    lines = export()
    assert len(lines) == 2501
    assert lines == emulator.entries()
    assert lines[0]["textPayload"] == "a\nb\u2028 0"


def test_it_is_filtered(write: Send, export: Export) -> None:
    """A filter and a project select."""
    write({"textPayload": "a", "severity": "ERROR"}, {"textPayload": "b"},
          {"textPayload": "c", "severity": "ERROR", "logName": "projects/q/logs/web"})  # fmt: skip
    assert [line["textPayload"] for line in export(filter="severity>=ERROR")] == ["a", "c"]
    assert [line["textPayload"] for line in export(project="p")] == ["a", "b"]
    assert [line["textPayload"] for line in export(project="p", filter="severity=ERROR")] == ["a"]


def test_a_wrong_filter_is_refused(call: Send) -> None:
    """A filter that is not in the language is 400, with its place."""
    status, answer = call("GET", "/emulator/entries?filter=a+AND")
    assert (status, "line 1, column 6" in answer["error"]["message"]) == (400, True)


def test_faults_do_not_hit_it(write: Send, export: Export, emulator: Emulator) -> None:
    """It is a call of control: an armed fault stays for the calls of the service."""
    write({"textPayload": "a"})
    emulator.fault("status", status=503, count=1)
    assert len(export()) == 1
    assert emulator.faults()[0]["count"] == 1


def test_what_google_wrote_is_written_again(
    google_client: google_logging.Client, export: Export, emulator: Emulator, call: Send
) -> None:
    """Lines that an emulator exported are entries that another one takes as they are."""
    google_client.logger("g").log_struct({"message": "hello", "n": 1.5}, severity="NOTICE")
    before = export()
    emulator.reset()
    assert call("POST", "/v2/entries:write", {"entries": before})[0] == 200
    after = export()
    for line in (*before, *after):
        del line["receiveTimestamp"]
    assert after == before
