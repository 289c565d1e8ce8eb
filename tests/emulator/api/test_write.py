"""entries:write over a real socket: defaults, refusals, partial success, normal forms."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]

PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"


GLOBAL = {"type": "global", "labels": {"project_id": "p"}}


def _ahead(**delta: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(**delta)).isoformat()


def test_defaults_of_the_request_reach_the_entries(write: Send, emulator: Emulator) -> None:
    """Log name and resource are defaults, and request labels never override an entry's own."""
    own = {"textPayload": "b", "logName": "projects/p/logs/own", "labels": {"env": "dev"}}
    assert write({"textPayload": "a"}, own, labels={"env": "prod", "zone": "x"}) == (200, {})
    first, second = emulator.entries()
    assert first["logName"] == "projects/p/logs/web"
    assert first["labels"] == {"env": "prod", "zone": "x"}
    assert second["logName"] == "projects/p/logs/own"
    assert second["labels"] == {"env": "dev", "zone": "x"}
    assert first["resource"] == second["resource"] == GLOBAL


def test_missing_fields_are_supplied(write: Send, emulator: Emulator) -> None:
    """Time and insertId are supplied, DEFAULT is left out; without them the order is kept."""
    assert write(*[{"textPayload": str(n)} for n in range(20)])[0] == 200
    entries = emulator.entries()
    assert [entry["textPayload"] for entry in entries] == [str(n) for n in range(20)]
    assert len({entry["insertId"] for entry in entries}) == 20
    assert not any("severity" in entry for entry in entries)
    assert all(entry["timestamp"] >= entry["receiveTimestamp"][:19] for entry in entries)


def test_snake_case_names_are_the_same_fields(call: Send, emulator: Emulator) -> None:
    """Every field may be given by its protobuf name, as Google's own client gives dry_run."""
    entry = {"text_payload": "a", "insert_id": "i", "http_request": {"request_method": "GET"}}
    body = {
        "entries": [entry],
        "log_name": "projects/p/logs/web",
        "resource": {"type": "global"},
        "partial_success": True,
        "dry_run": False,
    }
    assert call("POST", "/v2/entries:write", body) == (200, {})
    (stored,) = emulator.entries()
    assert stored["textPayload"] == "a"
    assert stored["httpRequest"] == {"requestMethod": "GET"}


def test_a_dry_run_stores_nothing(write: Send, emulator: Emulator) -> None:
    """A dry run answers as if it had stored, and refuses as if it had."""
    assert write({"textPayload": "a"}, dryRun=True) == (200, {})
    assert write({"textPayload": 5}, dryRun=True)[0] == 400
    assert emulator.entries() == []
    assert emulator.stats()["dry_run"] == 1


def test_without_partial_success_one_bad_entry_refuses_all(write: Send, emulator: Emulator) -> None:
    """Nothing is stored and the answer has no per-entry errors."""
    status, answer = write({"textPayload": "a"}, {"textPayload": "b", "logName": "x"})
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "details" not in answer["error"]
    assert emulator.entries() == []
    assert emulator.stats()["refused"] == 2


def test_partial_success_keeps_the_valid_entries(write: Send, emulator: Emulator) -> None:
    """Valid entries are stored, and the details name the others by their index."""
    bad = {"textPayload": "b", "timestamp": _ahead(hours=25)}
    status, answer = write({"textPayload": "a"}, bad, {"textPayload": "c"}, partialSuccess=True)
    (detail,) = answer["error"]["details"]
    assert status == 400
    assert detail["@type"] == PARTIAL
    assert list(detail["logEntryErrors"]) == ["1"]
    assert detail["logEntryErrors"]["1"]["code"] == 3
    assert answer["error"]["message"] == detail["logEntryErrors"]["1"]["message"]
    assert [entry["textPayload"] for entry in emulator.entries()] == ["a", "c"]
    assert emulator.stats()["refused"] == 1


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"textPayload": 5}, "'entries[0].text_payload' (TYPE_STRING), 5"),
        ({"jsonPayload": "x"}, "google.protobuf.Struct"),
        ({"labels": {"a": 1}}, "'entries[0].labels[0].value' (TYPE_STRING), 1"),
        ({"severity": "LOUD"}, "google.logging.type.LogSeverity"),
        ({"traceSampled": 1}, "'entries[0].trace_sampled' (TYPE_BOOL)"),
        ({"colour": "red"}, "Unknown name \"colour\" at 'entries[0]': Cannot find field."),
        ({"httpRequest": {"verb": "GET"}}, "Unknown name \"verb\" at 'entries[0].http_request'"),
        ({"textPayload": "a", "jsonPayload": {}}, "oneof field 'payload' is already set"),
        ({"sourceLocation": {"line": "x"}}, "'entries[0].source_location.line' (TYPE_INT64)"),
        ({"timestamp": "yesterday"}, "google.protobuf.Timestamp"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, "google.protobuf.Timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "Invalid value at 'entries[0].timestamp'"),
        ({"timestamp": "9999-12-31T23:59:59-23:59"}, "Invalid value at 'entries[0].timestamp'"),
        ({"resource": {"labels": {"a": None}}}, "'entries[0].resource.labels[0].value'"),
        ("entry", "google.logging.v2.LogEntry"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_as_a_whole(
    write: Send, emulator: Emulator, entry: object, text: str
) -> None:
    """A wrong type or name refuses the request even with partialSuccess, saying where it is."""
    status, answer = write({"textPayload": "good"}, partialSuccess=True, entries=[entry])
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]
    assert answer["error"]["details"][0]["@type"].endswith("google.rpc.BadRequest")
    assert emulator.entries() == []


def test_all_faults_of_a_body_are_named_at_once(write: Send) -> None:
    """Each violation has its line in the message and its item in the details."""
    status, answer = write({"textPayload": 5, "colour": "red"}, {"insertId": 7}, extra=1)
    assert status == 400
    assert len(answer["error"]["message"].splitlines()) == 1
    status, answer = write({"textPayload": 5, "colour": "red"}, {"insertId": 7})
    assert len(answer["error"]["message"].splitlines()) == 3
    fields = [item["field"] for item in answer["error"]["details"][0]["fieldViolations"]]
    assert fields == ["entries[0].text_payload", "entries[0]", "entries[1].insert_id"]


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"entries": NaN}', b"\xff", b'{"logName": "x"', b'{"extra": 1}']
)
def test_a_body_that_is_no_message_is_refused(call: Send, raw: bytes) -> None:
    """What does not parse, or is not the object expected, is INVALID_ARGUMENT."""
    status, answer = call("POST", "/v2/entries:write", raw)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer["error"]["message"].startswith("Invalid JSON payload received.")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"logName": ""}, "Log name is required"),
        ({"logName": "projects/p/logs/a/b"}, "Expected the form"),
        ({"logName": "projects/p/logs/a@b"}, "illegal character"),
        ({"logName": "projects/p/logs/" + "a" * 512}, "limit of 511"),
        ({"resource": {}}, "monitored resource must be specified"),
    ],
)
def test_log_name_and_resource_are_required(
    write: Send, change: dict[str, object], text: str
) -> None:
    """Without a well-formed log name or a resource type the entry is refused."""
    status, answer = write({"textPayload": "a"}, **change)
    assert status == 400
    assert text in answer["error"]["message"]


def test_a_gzip_body_is_unpacked(call: Send, emulator: Emulator) -> None:
    """Content-Encoding: gzip is accepted, and what is not gzip is refused."""
    entry = {"logName": "projects/p/logs/a%2Fb", "resource": {"type": "global"}, "textPayload": "z"}
    raw = json.dumps({"entries": [entry]}).encode()
    headers = {"Content-Encoding": "gzip"}
    assert call("POST", "/v2/entries:write", gzip.compress(raw), headers) == (200, {})
    assert emulator.entries()[0]["logName"] == "projects/p/logs/a%2Fb"
    assert call("POST", "/v2/entries:write", b"not gzip", headers)[0] == 400


def test_equal_entries_are_shown_once_and_counted(write: Send, emulator: Emulator) -> None:
    """Equal log, timestamp and insertId are one entry in the list and two in the counts."""
    entry = {"textPayload": "a", "timestamp": _ahead(), "insertId": "same"}
    other = {**entry, "logName": "projects/p/logs/other"}
    write(entry, entry)
    write(entry, other, {"textPayload": "new"})
    stats = emulator.stats()
    assert len(emulator.entries()) == stats["entries_shown"] == 3
    assert (stats["entries_stored"], stats["duplicates"]) == (5, 2)
    (repeated,) = emulator.duplicates()
    assert (repeated["insertId"], repeated["copies"]) == ("same", 3)


def test_what_was_written_is_normalised(write: Send, emulator: Emulator) -> None:
    """Values come back as protobuf JSON has them: int64 as text, UTC times, no zero values."""
    entry = {
        "jsonPayload": {"n": 1, "none": None, "list": [1, "a"]},
        "severity": 400,
        "timestamp": _ahead()[:19] + ".120+00:00",
        "sourceLocation": {"file": "a.py", "line": 12, "function": ""},
        "httpRequest": {"status": "200", "requestSize": 5, "latency": "0.5s", "cacheHit": False},
        "traceSampled": False,
        "split": {"uid": "u", "index": 0, "totalSplits": 2},
        "operation": None,
    }
    assert write(entry, {"severity": 250, "textPayload": "t"}) == (200, {})
    stored = {entry["severity"]: entry for entry in emulator.entries()}
    assert stored[250]["textPayload"] == "t"
    assert stored["WARNING"]["jsonPayload"] == {"n": 1, "none": None, "list": [1, "a"]}
    assert stored["WARNING"]["timestamp"].endswith(".120Z")
    assert stored["WARNING"]["sourceLocation"] == {"file": "a.py", "line": "12"}
    expected = {"status": 200, "requestSize": "5", "latency": "0.5s"}
    assert stored["WARNING"]["httpRequest"] == expected
    assert stored["WARNING"]["split"] == {"uid": "u", "totalSplits": 2}
    assert not {"traceSampled", "operation"} & stored["WARNING"].keys()


def test_a_log_can_be_deleted(write: Send, call: Send, emulator: Emulator) -> None:
    """Deleting removes the entries of that log alone, and is NOT_FOUND when there are none."""
    write({"textPayload": "a", "logName": "projects/p/logs/a%2Fb"}, {"textPayload": "b"})
    assert call("DELETE", "/v2/projects/p/logs/a%2Fb") == (200, {})
    assert [entry["textPayload"] for entry in emulator.entries()] == ["b"]
    status, answer = call("DELETE", "/v2/projects/p/logs/a%2Fb")
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


def test_an_unknown_call_is_not_found(call: Send) -> None:
    """Other paths and methods answer NOT_FOUND in the API's form."""
    for method, path in (("GET", "/v2/entries:write"), ("POST", "/v2/entries:copy"), ("GET", "/x")):
        status, answer = call(method, path)
        assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")
