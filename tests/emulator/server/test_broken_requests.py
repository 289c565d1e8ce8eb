"""What the emulator prints of requests that aiohttp cannot read: nothing, since it answers them."""

from __future__ import annotations

import asyncio

import pytest
from served import on_a_server

_HEAD = "POST /v2/entries:write HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BROKEN = {
    "an unknown encoding": f"{_HEAD}Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{{}}",
    "no gzip": f"{_HEAD}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}",
    "no length": f"{_HEAD}Content-Length: -1\r\n\r\n",
    "no version": "GET / HTTP/9.9\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_request_that_cannot_be_read_is_refused_silently(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is the one who learns of it.

    Closes: each put a traceback of aiohttp on the user's terminal.
    """

    async def act(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BROKEN[name].encode())
        assert b" 400 " in await reader.readline()
        writer.close()

    on_a_server(act)
    assert caplog.records == []
