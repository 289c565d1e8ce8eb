"""aiohttp's middleware with its real server: answers that fail, and websockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from helpers import check_python

import forklog
from forklog.middleware import aiohttp_middleware
from forklog.testing import FakeTransport

Make = Callable[..., tuple[logging.Logger, forklog.CloudLoggingHandler]]


async def _early(request: web.Request) -> web.Response:
    raise {"timeout": asyncio.TimeoutError, "gone": web.HTTPGone}.get(
        request.path.rpartition("/")[2], ValueError
    )


async def _late(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=202)
    await response.prepare(request)
    await response.write(b"a")
    raise ValueError


async def _nothing(_request: web.Request) -> Any:
    return None


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    if request.query:
        raise ValueError
    await socket.send_str("hello")
    await socket.close()
    return socket


_HANDLERS = {
    "/error": _early,
    "/timeout": _early,
    "/gone": _early,
    "/late": _late,
    "/nothing": _nothing,
    "/socket": _socket,
    "/plain": _socket,
}


async def _asked(*paths: str) -> list[int]:
    """Run the server, ask for each path; return the statuses that the client sees."""
    app = web.Application(middlewares=[aiohttp_middleware])
    part = web.Application(middlewares=[aiohttp_middleware])
    for path, handler in _HANDLERS.items():
        app.router.add_get(path, handler)
        part.router.add_get(path, handler)
    app.add_subapp("/part", part)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    statuses = []
    async with aiohttp.ClientSession() as client:
        for path in paths:
            if path.startswith("/socket"):
                async with client.ws_connect(url + path) as socket:
                    await socket.receive()
            else:
                async with client.get(url + path) as answer:
                    statuses.append(answer.status)
    await runner.cleanup()
    return statuses


def test_the_middlewares_import_no_asyncio() -> None:
    """An application that has no use for asyncio does not pay for its import."""
    check_python("""
        import sys
        import forklog.middleware
        assert "asyncio" not in sys.modules
    """)


@pytest.mark.filterwarnings("ignore")  # of aiohttp, where a handler returns nothing
def test_the_status_is_that_of_the_client(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Whatever fails, the entry of the request has the status that aiohttp answers."""
    _, handler = make_logger(access_log=True)
    seen = asyncio.run(_asked("/error", "/timeout", "/gone", "/late", "/nothing", "/unknown"))
    assert handler.flush(10)
    assert seen == [500, 504, 410, 202, 500, 404]
    entries = [e for e in forklog_transport.entries if "status" in e.get("httpRequest", {})]
    assert [e["httpRequest"]["status"] for e in entries] == seen
    severities = ["ERROR", "ERROR", "WARNING", "ERROR", "ERROR", "WARNING"]
    assert [e["severity"] for e in entries] == severities


def test_a_sub_application_with_the_middleware(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """The inner one of two middlewares leaves the request to the outer one.

    Closes: a request had two traces and two entries.
    """
    _, handler = make_logger(access_log=True)
    assert asyncio.run(_asked("/part/gone")) == [410]
    assert handler.flush(10)
    (entry,) = [e for e in forklog_transport.entries if "status" in e.get("httpRequest", {})]
    assert entry["httpRequest"]["status"] == 410


def test_a_websocket_has_no_entry(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """Neither one that ends, nor one whose handler fails; a refused one is a plain request."""
    _, handler = make_logger(access_log=True)
    assert asyncio.run(_asked("/socket", "/socket?fail", "/plain")) == [400]
    assert handler.flush(10)
    (entry,) = forklog_transport.entries
    assert entry["httpRequest"]["status"] == 400
