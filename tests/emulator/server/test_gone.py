"""Clients that go away in the middle of a call, in this process: no stack is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from served import ask, calling, on_a_server, until

if TYPE_CHECKING:
    import pytest

_WRITE = {
    "logName": "projects/p/logs/l",
    "resource": {"type": "global"},
    "entries": [{"textPayload": "x" * 20_000}] * 400,
}


def test_a_client_that_leaves_an_export(caplog: pytest.LogCaptureFixture) -> None:
    """The export ends without a stack trace, and other calls are answered."""

    async def act(port: int) -> None:
        for _ in range(4):
            assert b" 200 " in await ask(port, "POST", "/v2/entries:write", _WRITE)
        for _ in range(3):
            async with calling(port, "GET", "/emulator/entries") as reader:
                await until(reader, b"xxx")
        assert b" 200 " in await ask(port, "GET", "/emulator/stats")

    on_a_server(act)
    assert caplog.records == []


def test_a_drop_and_an_idle_close_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A call that meets both has its connection dropped; nothing is written to it after that."""

    async def act(port: int) -> None:
        for fault in ({"kind": "drop", "count": 1}, {"kind": "idle_close", "count": 1}):
            assert b" 200 " in await ask(port, "POST", "/emulator/faults", fault)
        assert await ask(port, "POST", "/v2/entries:write", _WRITE) == b""
        assert b" 200 " in await ask(port, "POST", "/v2/entries:write", _WRITE)

    on_a_server(act)
    assert caplog.records == []
