"""QueueHandler with QueueListener: the standard library's way to log from a background thread."""

from __future__ import annotations

import logging
import logging.handlers
import queue

from benchmarks.subjects.nothing import _NothingHandler
from benchmarks.subjects.subject import Subject


class Queue(Subject):
    """QueueHandler and QueueListener; the listener's handler does nothing, its best case."""

    def build(self, port: int) -> logging.Handler:  # noqa: ARG002 - nothing is sent
        """Start the listener and return the handler."""
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._listener = logging.handlers.QueueListener(records, _NothingHandler())  # type: ignore[arg-type]
        self._listener.start()
        return logging.handlers.QueueHandler(records)  # type: ignore[arg-type]
