"""A real worker of RQ, on the port that it is given; more arguments are modules to import first."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import redis
import rq


class Redis(redis.Redis):  # type: ignore[type-arg,unused-ignore]
    """A connection to fakeredis, whose CLIENT INFO is not what redis-py understands."""

    def client_info(self, **_options: Any) -> dict[str, str]:
        """Return what RQ wants to know of it."""
        return {"addr": "127.0.0.1"}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    worker = rq.Worker(["default"], connection=Redis(port=int(sys.argv[1])))
    worker.work(burst=True)
