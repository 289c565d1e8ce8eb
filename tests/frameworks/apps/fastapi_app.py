"""FastAPI, as the tests of frameworks run it under uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import shared
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse

import forklog
from forklog.middleware import ASGIMiddleware

shared.set_up()
api = FastAPI()
api.add_middleware(ASGIMiddleware)


async def _dependency(number: str) -> str:
    forklog.bind(dependency=number)
    return number


Bound = Annotated[str, Depends(_dependency)]


@api.get("/order/{number}")
async def work(number: str, tasks: BackgroundTasks, _given: Bound) -> str:
    """Log in an async endpoint, in a thread that it waits for, and after the answer."""
    shared.logger.info("first %s", number)
    await asyncio.sleep(shared.PAUSE)
    shared.logger.warning("second %s", number)
    await asyncio.to_thread(shared.logger.info, "thread %s", number)
    tasks.add_task(shared.logger.error, "background %s", number)
    return number


@api.get("/sync/{number}")
def sync(number: str) -> str:
    """Log in an endpoint that FastAPI runs in a thread."""
    shared.work(number)
    return number


@api.get("/stream/{number}")
async def stream(number: str) -> StreamingResponse:
    """Log while the body is sent."""

    async def body() -> AsyncIterator[str]:
        yield "a"
        shared.logger.info("stream %s", number)
        yield "b"

    return StreamingResponse(body())


@api.get("/broken/{number}")
async def broken(number: str) -> StreamingResponse:
    """Fail in the body."""
    return StreamingResponse(shared.breaking_async(number))


@api.get("/fail/{number}")
async def fail(number: str) -> str:
    """Fail."""
    raise RuntimeError(number)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer, then log in the same task."""
    await api(scope, receive, send)
    if scope["type"] == "http":
        shared.log_after(scope["path"].rpartition("/")[2])
