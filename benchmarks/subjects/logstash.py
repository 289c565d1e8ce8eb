"""python-logstash-async: an in-memory queue and batches of JSON lines over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logstash_async.constants import constants
from logstash_async.handler import AsynchronousLogstashHandler

from benchmarks import work
from benchmarks.subjects.subject import Subject

if TYPE_CHECKING:
    import logging


class Logstash(Subject):
    """The handler without a database file, set to be as prompt as forklog and to keep up."""

    wire = "tcp"
    extra = {**work.FIELDS, **work.LABELS}  # noqa: RUF012 - fields have one level

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        constants.QUEUE_CHECK_INTERVAL = 0.2  # seconds; 2 by default
        constants.QUEUED_EVENTS_BATCH_SIZE = (
            1000  # 50 by default, each with a connection of its own
        )
        handler: logging.Handler = AsynchronousLogstashHandler(
            "127.0.0.1", port, database_path=None
        )
        return handler

    def hurry(self) -> None:
        """Have a partial batch sent."""
        self.handler.flush()
