"""An ASGI application that `forklog.setup` sets up; uvicorn's loggers are as they come."""

from __future__ import annotations

import logging
from typing import Any

import forklog
from forklog.middleware import ASGIMiddleware

forklog.setup(max_latency=0.1, access_log="query", process_labels=True)
logger = logging.getLogger("shop")


async def _answer(scope: Any, _receive: Any, send: Any) -> None:
    if scope["path"] == "/fail":
        raise RuntimeError("of the application")
    logger.info("in the application")
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"ab"})


app = ASGIMiddleware(_answer)
