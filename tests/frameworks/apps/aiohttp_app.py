"""aiohttp, as the tests of frameworks run it, by its own server."""

from __future__ import annotations

import asyncio
import signal
import sys

import shared
from aiohttp import web

from forklog.middleware import aiohttp_middleware

routes = web.RouteTableDef()


@routes.get("/order/{number}")
async def work(request: web.Request) -> web.Response:
    """Log in a handler, in a thread that it waits for, and in a task of its own."""
    number = request.match_info["number"]
    shared.logger.info("first %s", number)
    await asyncio.sleep(shared.PAUSE)
    shared.logger.warning("second %s", number)
    await asyncio.to_thread(shared.logger.info, "thread %s", number)
    task = asyncio.create_task(_later(number))
    request.app[TASKS].add(task)
    return web.Response(text=number)


async def _later(number: str) -> None:
    await asyncio.sleep(shared.PAUSE)
    shared.logger.info("background %s", number)


@routes.get("/stream/{number}")
async def stream(request: web.Request) -> web.StreamResponse:
    """Log while the body is sent."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a")
    shared.logger.info("stream %s", request.match_info["number"])
    await response.write(b"b")
    return response


@routes.get("/broken/{number}")
async def broken(request: web.Request) -> web.StreamResponse:
    """Fail in the body."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for part in shared.breaking_async(request.match_info["number"]):
        await response.write(part.encode())
    return response


@routes.get("/fail/{number}")
async def fail(request: web.Request) -> web.Response:
    """Fail."""
    raise RuntimeError(request.match_info["number"])


TASKS: web.AppKey[set[asyncio.Task[None]]] = web.AppKey("tasks")


async def _main() -> None:
    app = web.Application(middlewares=[aiohttp_middleware])
    app[TASKS] = set()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log_format="access %r")
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stderr.write(f"running on {site.name.replace(':0', '')}:{_port(runner)}\n")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        await asyncio.sleep(0.1)
        shared.log_after("none")
    await asyncio.gather(*app[TASKS])
    await runner.cleanup()


def _port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])


if __name__ == "__main__":
    shared.set_up()
    asyncio.run(_main())
