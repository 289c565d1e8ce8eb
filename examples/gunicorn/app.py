"""The application, for gunicorn's WSGI workers (`application`) and for ASGI (`asgi`).

    GET /              three records
    GET /?records=20   as many as that
    GET /?hold=0.1     take at least so many seconds, so that other workers get requests too

It configures no logging: gunicorn.conf.py does. With EXAMPLE_LEDGER set, the process and id of each
record are appended to that file. So what arrived can be compared with what was logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger("shop")
HEADERS = [("Content-Type", "application/json")]

ledger = os.open(
    os.environ.get("EXAMPLE_LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
)


def log_records(count: int, prefix: str) -> None:
    """Log so many records and write down each that was logged."""
    for _ in range(count):
        record_id = f"{prefix}-{uuid.uuid4().hex}"
        logger.info("order taken id=%s", record_id)
        os.write(ledger, f"{os.getpid()} {record_id}\n".encode())


def work(query_string: str) -> tuple[float, bytes]:
    """Log as many records as the query asks for; return how long to hold, and the answer."""
    query = parse_qs(query_string)
    count = int(query.get("records", ["3"])[0])
    log_records(count, "request")
    body = {"pid": os.getpid(), "records": count}
    return float(query.get("hold", ["0"])[0]), json.dumps(body).encode() + b"\n"


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request of WSGI."""
    hold, body = work(environ.get("QUERY_STRING", ""))
    time.sleep(hold)
    start_response("200 OK", HEADERS)
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer a request of ASGI, or the start and the end of the server."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        log_records(1, "shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    hold, body = work(scope["query_string"].decode())
    await asyncio.sleep(hold)
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


log_records(2, "boot")
