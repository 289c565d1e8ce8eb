"""What the applications of the frameworks have in common: their logging, and what they log."""

from __future__ import annotations

import logging
import logging.config
import threading
import time
from collections.abc import AsyncIterator, Iterator

import forklog

logger = logging.getLogger("app")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cloud": {
            "class": "forklog.CloudLoggingHandler",
            "access_log": True,
            "max_latency": 0.1,
        },
        "console": {"class": "logging.StreamHandler"},
    },
    "loggers": {
        name: {"handlers": ["cloud", "console"], "level": "INFO", "propagate": False}
        for name in ("app", "flask_app", "django.request", "gunicorn.access", "gunicorn.error",
                     "uvicorn", "uvicorn.access", "aiohttp.access", "aiohttp.server")
    },
}  # fmt: skip
PAUSE = 0.05
"""Seconds in which other requests come between two records of one."""


def set_up() -> None:
    """Configure logging, and have threads know the request that started them."""
    logging.config.dictConfig(LOGGING)
    forklog.carry_threads()


def work(number: str) -> None:
    """Log twice, with other requests in between, and once in a thread."""
    logger.info("first %s", number)
    time.sleep(PAUSE)
    logger.warning("second %s", number)
    thread = threading.Thread(target=logger.info, args=("thread %s", number))
    thread.start()
    thread.join()


def breaking(number: str) -> Iterator[str]:
    """Yield a body that fails at its first part for an even number, else at its second."""
    if int(number) % 2:
        yield "a"
    raise RuntimeError(number)


async def breaking_async(number: str) -> AsyncIterator[str]:
    """Do so for an async framework."""
    for part in breaking(number):
        yield part


def log_after(number: str) -> None:
    """Log where the request is over."""
    logger.info("after %s", number)
