"""What runs in the interpreters of a pool: they cannot import forklog, and log by a queue."""

from __future__ import annotations

import logging
from logging.handlers import QueueHandler
from typing import Any


def configure(queue: Any) -> None:
    """Have all records of this interpreter go to the queue."""
    logging.getLogger().addHandler(QueueHandler(queue))
    logging.getLogger().setLevel(logging.INFO)


def work(name: str) -> str:
    """Log one record, and return why forklog cannot be imported here."""
    logging.getLogger("forks").info("id=%s", name)
    try:
        import forklog  # noqa: F401, PLC0415 - it is about this import
    except ImportError as error:
        return str(error)
    return "imported"
