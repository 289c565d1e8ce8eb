"""The table of frameworks: each field of each record, of 100 requests at once to a real server."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from forklog.emulator.process import Emulator

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from site_of_framework import CLIENTS, FRAMEWORKS, SPAN, Arrived, Entry, run, text_of, trace_of

_NEEDS = {"fastapi": "fastapi"}


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    """Run the emulator that all applications of this file send to."""
    with Emulator.start() as emulator:
        yield emulator


@pytest.fixture(scope="module", params=sorted(FRAMEWORKS))
def arrived(
    request: pytest.FixtureRequest, server: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Arrived:
    """Return what arrived of one framework's requests."""
    name = request.param
    if name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None:
        pytest.skip(f"{_NEEDS[name]} is not installed")
    found = run(FRAMEWORKS[name], server, tmp_path_factory.mktemp(name), f"of-{name}")
    found.name = name
    return found


def _is_of(entry: Entry, arrived: Arrived, number: int) -> None:
    """Check the trace and the request of an entry."""
    assert entry["trace"] == f"projects/of-{arrived.name}/traces/{trace_of(number)}"
    assert entry["spanId"] == SPAN
    assert entry["traceSampled"] is True
    request = entry["httpRequest"]
    assert request["requestMethod"] == "GET"
    assert request["requestUrl"].startswith("http://127.0.0.1:")
    assert request["requestUrl"].endswith(f"/{arrived.asked[number]}/{number}")
    assert request["userAgent"] == "client"
    assert request["protocol"] == "HTTP/1.1"


def test_a_body_that_fails(arrived: Arrived) -> None:
    """What the client sees of a body that fails at its first part differs; both are an ERROR.

    aiohttp, and ASGI's server, send the status before the body.
    """
    parents = {e["trace"].rpartition("/")[2]: e for e in arrived.parents}
    is_early = arrived.name in ("fastapi", "django-asgi", "aiohttp")
    for number in arrived.numbers("broken"):
        expected = 200 if number % 2 or is_early else 500
        assert arrived.seen[number] == expected
        entry = parents[trace_of(number)]
        assert (entry["httpRequest"]["status"], entry["severity"]) == (expected, "ERROR")


@pytest.mark.parametrize("word", ["first", "second"])
def test_trace_span_sampled_and_request(arrived: Arrived, word: str) -> None:
    """Each record of a request has its trace, span, sampling and request, and no other's."""
    for number in arrived.numbers("order", "sync"):
        _is_of(arrived.one(f"{word} {number}"), arrived, number)


def test_a_thread(arrived: Arrived) -> None:
    """What a thread logs that the request has started belongs to the request."""
    for number in arrived.numbers("order", "sync"):
        _is_of(arrived.one(f"thread {number}"), arrived, number)


def test_a_streaming_body(arrived: Arrived) -> None:
    """What is logged while the body is sent belongs to the request."""
    for number in arrived.numbers("stream"):
        _is_of(arrived.one(f"stream {number}"), arrived, number)


def test_the_traceback_of_a_500(arrived: Arrived) -> None:
    """The traceback belongs to the request, whoever logs it."""
    for number in arrived.numbers("fail"):
        entries = [
            e for e in arrived.entries if text_of(e).rstrip().endswith(f"RuntimeError: {number}")
        ]
        assert entries
        for entry in entries:
            _is_of(entry, arrived, number)


def test_a_background_task(arrived: Arrived) -> None:
    """What a task logs that goes on after the answer belongs to the request."""
    if arrived.name not in ("fastapi", "aiohttp"):
        pytest.skip("has no background tasks of its own")
    for number in arrived.numbers("order"):
        _is_of(arrived.one(f"background {number}"), arrived, number)


def test_the_access_log(arrived: Arrived) -> None:
    """The server's own line for each request belongs to the request.

    Of a body that fails gunicorn writes a second line, after the request, for its own answer;
    aiohttp writes none where it cannot answer.
    """
    lines = [
        e for e in arrived.entries
        if str(e.get("labels", {}).get("python_logger", "")).endswith(".access")
    ]  # fmt: skip
    broken = {trace_of(number) for number in arrived.numbers("broken")}
    traces = Counter(e["trace"].rpartition("/")[2] for e in lines if "trace" in e)
    assert traces.keys() <= {trace_of(number) for number in arrived.asked}
    assert len(traces.keys() - broken) == CLIENTS - len(broken)
    assert all(traces[trace] == 1 for trace in traces.keys() - broken)


def test_a_record_after_the_request(arrived: Arrived) -> None:
    """What is logged in the thread or task of a request that is over belongs to none."""
    entries = [e for e in arrived.entries if text_of(e).startswith("after ")]
    assert entries
    assert not [e for e in entries if "trace" in e or "httpRequest" in e]


def test_the_parent(arrived: Arrived) -> None:
    """There is one entry for each request, with status and latency, in a log of its own."""
    parents = {e["trace"].rpartition("/")[2]: e for e in arrived.parents}
    assert len(arrived.parents) == len(parents) == CLIENTS
    for number, kind in arrived.asked.items():
        entry = parents[trace_of(number)]
        _is_of(entry, arrived, number)
        request = entry["httpRequest"]
        assert request["status"] == arrived.seen[number]
        assert kind == "broken" or request["status"] == (500 if kind == "fail" else 200)
        assert request["remoteIp"] == "127.0.0.1"
        assert request["referer"] == "http://elsewhere/"
        assert float(request["latency"].rstrip("s")) > (0.04 if kind in ("order", "sync") else 0)
        assert entry["severity"] == _severity(arrived, kind)


def _severity(arrived: Arrived, kind: str) -> str:
    """Return the highest of a request's records; FastAPI's background task logs an ERROR."""
    if kind == "order":
        return "ERROR" if arrived.name == "fastapi" else "WARNING"
    return {"fail": "ERROR", "broken": "ERROR", "sync": "WARNING"}.get(kind, "INFO")


def test_a_dependency_binds_a_field_for_the_request(arrived: Arrived) -> None:
    """What a dependency binds is a field of all later records, and of no other request's."""
    if arrived.name != "fastapi":
        pytest.skip("has no dependencies")
    for number in arrived.numbers("order"):
        for word in ("first", "second", "thread", "background"):
            assert arrived.one(f"{word} {number}")["jsonPayload"]["dependency"] == str(number)
    for number in arrived.numbers("sync"):
        assert "textPayload" in arrived.one(f"first {number}")
