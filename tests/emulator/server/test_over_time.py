"""What a call answers when a regular expression of its filter runs out of time, in this process."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from served import ask, calling, on_a_server, until

from forklog.emulator.filter import budget

FILTER = 'textPayload=~"ok|^(?:a|a|aa)+$"'
ENTRIES = [{"textPayload": "ok"}, {"textPayload": "a" * 20_000 + "b"}, {"textPayload": "ok"}]


async def _write(port: int) -> None:
    request = {"logName": "projects/p/logs/l", "resource": {"type": "global"}, "entries": ENTRIES}
    assert b" 200 " in await ask(port, "POST", "/v2/entries:write", request)


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
            answer = await ask(port, "POST", "/v2/entries:list", asked)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"takes too long" in answer

    on_a_server(act)
    assert capfd.readouterr() == ("", "")


def test_an_export_that_has_begun_breaks_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No second answer stands in its body, and the body has no end: the client sees the failure."""
    monkeypatch.setattr(budget, "PAGE_SECONDS", -1.0)  # each page ends after a row

    async def act(port: int) -> None:
        await _write(port)
        answer = await ask(port, "GET", f"/emulator/entries?filter={quote(FILTER)}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert not answer.endswith(b"0\r\n\r\n")

    on_a_server(act)
    assert caplog.records == []


def test_an_export_that_has_not_begun_is_refused() -> None:
    """Where the first page fails the answer is 400 with the reason."""

    async def act(port: int) -> None:
        await _write(port)
        answer = await ask(port, "GET", f"/emulator/entries?filter={quote(FILTER)}")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"takes too long" in answer

    on_a_server(act)


def test_a_tail_sends_first_what_had_matched() -> None:
    """The entry before the one that takes too long is in the array, the error behind it."""

    async def act(port: int) -> None:
        asked = {"resourceNames": ["projects/p"], "filter": FILTER, "bufferWindow": "30s"}
        async with calling(port, "POST", "/v2/entries:tail", asked) as reader:
            await until(reader, b"[")
            await _write(port)
            answer = await until(reader, b"]\r\n0\r\n")
        assert answer.count(b'"textPayload":"ok"') == 1
        assert answer.index(b'"textPayload":"ok"') < answer.index(b"takes too long")

    on_a_server(act)


def test_the_page_shows_first_what_had_matched() -> None:
    """The entry before the one that takes too long is a row; `refused` comes behind it."""

    async def act(port: int) -> None:
        await _write(port)
        path = f"/emulator/live?filter={quote(FILTER)}"
        async with calling(port, "GET", path) as reader:
            answer = await until(reader, b"takes too long")
        assert answer.count(b'"ok"') == 1
        assert answer.index(b'"ok"') < answer.index(b"event: refused")

    on_a_server(act)
