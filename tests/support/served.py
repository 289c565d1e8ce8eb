"""Runs an emulator's server in the process of a test, and calls it over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from forklog.emulator.server.app import Config, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_SECONDS = 60


@asynccontextmanager
async def calling(
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


async def ask(port: int, method: str, path: str, body: object = None) -> bytes:
    """Make one call; return all that came before the connection ended."""
    answer = b""
    async with calling(port, method, path, body) as reader:
        with suppress(ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(65_536), _SECONDS):
                answer += chunk
    return answer


async def until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    """Return what comes, up to this end."""
    return await asyncio.wait_for(reader.readuntil(end), _SECONDS)


def on_a_server(act: Callable[[int], Awaitable[None]]) -> None:
    """Run a coroutine function with the port of a server that holds nothing."""

    async def run() -> None:
        server = Server(Config(port=0))
        port = await server.start()
        try:
            await act(port)
        finally:
            await server.stop()

    asyncio.run(run())
