"""A program that runs uvicorn itself, after `forklog.setup`: uvicorn configures logging later."""

from __future__ import annotations

from typing import Any

import uvicorn

import forklog
from forklog.middleware import ASGIMiddleware

forklog.setup(max_latency=0.1, access_log=True)


async def _answer(scope: Any, _receive: Any, send: Any) -> None:
    if scope["path"] == "/fail":
        raise RuntimeError("of the application")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"quiet"})


if __name__ == "__main__":
    uvicorn.run(ASGIMiddleware(_answer), port=0)
