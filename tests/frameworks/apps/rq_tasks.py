"""Jobs of RQ, sent from web requests; then a real worker does them in this very process."""

from __future__ import annotations

import os
import sys
from typing import Any

import redis
import rq
import shared
import tasks

shared.LOGGING["loggers"]["rq.worker"] = {"handlers": ["cloud"], "level": "INFO"}  # type: ignore[index]


class Redis(redis.Redis):  # type: ignore[type-arg,unused-ignore]
    """A connection to fakeredis, whose CLIENT INFO is not what redis-py understands."""

    def client_info(self, **_options: Any) -> dict[str, str]:
        """Return what RQ wants to know of it."""
        return {"addr": "127.0.0.1"}


if __name__ == "__main__":
    shared.set_up()
    shared.PAUSE = 0.0  # the worker does one job at a time
    connection = Redis(port=int(os.environ["REDIS_PORT"]))
    queue = rq.Queue(connection=connection)
    tasks.send_all(lambda number: queue.enqueue(tasks.work, number), int(sys.argv[1]))
    rq.Worker([queue], connection=connection).work(burst=True)
