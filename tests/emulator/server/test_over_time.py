"""What a call answers when a regular expression of its filter runs out of time, in this process."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from forklog.emulator.filter import budget
from forklog.emulator.server.app import Config, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FILTER = 'textPayload=~"ok|^(?:a|a|aa)+$"'
ENTRIES = [{"textPayload": "ok"}, {"textPayload": "a" * 20_000 + "b"}, {"textPayload": "ok"}]
SECONDS = 60


@asynccontextmanager
async def _calling(
    port: int, method: str, path: str, body: object = None
) -> AsyncIterator[asyncio.StreamReader]:
    """Make one call, and give what reads the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    try:
        yield reader
    finally:
        writer.close()


async def _ask(port: int, method: str, path: str, body: object = None) -> bytes:
    """Make one call; return all that came before the connection ended."""
    answer = b""
    async with _calling(port, method, path, body) as reader:
        with suppress(ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(65_536), SECONDS):
                answer += chunk
    return answer


async def _until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    return await asyncio.wait_for(reader.readuntil(end), SECONDS)


async def _write(port: int) -> None:
    request = {"logName": "projects/p/logs/l", "resource": {"type": "global"}, "entries": ENTRIES}
    assert b" 200 " in await _ask(port, "POST", "/v2/entries:write", request)


def _on_a_server(act: Callable[[int], Awaitable[None]]) -> None:
    """Run a coroutine function with the port of a server that holds nothing."""

    async def run() -> None:
        server = Server(Config(port=0))
        port = await server.start()
        try:
            await act(port)
        finally:
            await server.stop()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SEARCH_SECONDS", 0.0)  # each search has a millisecond


def test_a_list_is_refused_and_its_cursor_closed_where_it_was_made(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The answer is 400, and nothing is printed: SQLite's objects belong to one thread."""

    async def act(port: int) -> None:
        await _write(port)
        for _ in range(3):
            asked = {"resourceNames": ["projects/p"], "filter": FILTER}
            answer = await _ask(port, "POST", "/v2/entries:list", asked)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"takes too long" in answer

    _on_a_server(act)
    assert capfd.readouterr() == ("", "")


def test_an_export_that_has_begun_breaks_off(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No second answer stands in its body, and the body has no end: the client sees the failure."""
    monkeypatch.setattr(budget, "PAGE_SECONDS", -1.0)  # each page ends after a row

    async def act(port: int) -> None:
        await _write(port)
        answer = await _ask(port, "GET", f"/emulator/entries?filter={quote(FILTER)}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert not answer.endswith(b"0\r\n\r\n")

    _on_a_server(act)
    assert capfd.readouterr() == ("", "")


def test_an_export_that_has_not_begun_is_refused() -> None:
    """Where the first page fails the answer is 400 with the reason."""

    async def act(port: int) -> None:
        await _write(port)
        answer = await _ask(port, "GET", f"/emulator/entries?filter={quote(FILTER)}")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"takes too long" in answer

    _on_a_server(act)


def test_a_tail_sends_first_what_had_matched() -> None:
    """The entry before the one that takes too long is in the array, the error behind it."""

    async def act(port: int) -> None:
        asked = {"resourceNames": ["projects/p"], "filter": FILTER, "bufferWindow": "30s"}
        async with _calling(port, "POST", "/v2/entries:tail", asked) as reader:
            await _until(reader, b"[")
            await _write(port)
            answer = await _until(reader, b"]\r\n0\r\n")
        assert answer.count(b'"textPayload":"ok"') == 1
        assert answer.index(b'"textPayload":"ok"') < answer.index(b"takes too long")

    _on_a_server(act)


def test_the_page_shows_first_what_had_matched() -> None:
    """The entry before the one that takes too long is a row; `refused` comes behind it."""

    async def act(port: int) -> None:
        await _write(port)
        path = f"/emulator/live?filter={quote(FILTER)}"
        async with _calling(port, "GET", path) as reader:
            answer = await _until(reader, b"takes too long")
        assert answer.count(b'"ok"') == 1
        assert answer.index(b'"ok"') < answer.index(b"event: refused")

    _on_a_server(act)
