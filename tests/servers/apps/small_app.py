"""A small application for servers of many kinds: WSGI, ASGI, tasks of huey and dramatiq, joblib.

It logs to SMALL_ENDPOINT with a `max_latency` that outlives every test, and with a spool in
SMALL_SPOOL if that is set.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from forklog import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger("small")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(
    CloudLoggingHandler(
        endpoint=os.environ["SMALL_ENDPOINT"],
        project="small",
        max_latency=60,
        spool=os.environ.get("SMALL_SPOOL"),
    )
)


def note(text: str) -> None:
    """Log one record."""
    logger.info("%s in %s", text, os.getpid())


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Log a record and answer, by WSGI."""
    note("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Do so by ASGI."""
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind.endswith("shutdown"):
            return
    note("request")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def work_and_flush(number: int) -> None:
    """Log a record in a worker of a pool that runs no hook, and deliver it."""
    work(number)
    logger.handlers[0].flush()


def work(number: int) -> int:
    """Log a record in a worker of a pool; return its PID."""
    note(f"job {number}")
    return os.getpid()
