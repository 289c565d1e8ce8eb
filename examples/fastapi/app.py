"""A FastAPI application: every record of a request has its trace, and so has the request.

    gunicorn --workers 2 --worker-class uvicorn_worker.UvicornWorker app:app

It sends to what LOGGING_EMULATOR_HOST names, else to Google's server.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI

import forklog
from forklog.middleware import ASGIMiddleware

app = FastAPI()
app.add_middleware(ASGIMiddleware)
forklog.setup(log_name="shop", access_log=True, process_labels=True)
logger = logging.getLogger("shop")


@app.get("/orders/{number}")
async def order(number: int) -> str:
    """Log twice and answer."""
    logger.info("order %d is read", number)
    logger.warning("order %d has no address", number)
    return "ok"
