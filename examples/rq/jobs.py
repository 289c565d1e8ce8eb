"""Jobs of RQ, whose records have the trace of whoever sent them. Redis is on REDIS_PORT, or 6379.

    python jobs.py 3
    rq worker --burst --url redis://localhost:6379

It sends to what LOGGING_EMULATOR_HOST names, else to Google's server.
"""

from __future__ import annotations

import logging
import os
import sys

import redis
import rq

import forklog

forklog.setup(log_name="shop", process_labels=True)
logger = logging.getLogger("shop")


def pack(number: int) -> None:
    """Log twice, in a work horse."""
    with forklog.bound(order=number):
        logger.info("order is packed")
        logger.info("order is sent")


if __name__ == "__main__":
    connection = redis.Redis(port=int(os.environ.get("REDIS_PORT", "6379")))
    queue = rq.Queue(connection=connection)
    for index in range(int(sys.argv[1])):
        queue.enqueue("jobs.pack", index)
