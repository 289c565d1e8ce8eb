"""A handler that only ends a thread before a fork: from Python 3.12 on the floor of row `fork`."""

from __future__ import annotations

import logging
import os
import threading

from benchmarks.subjects.subject import Subject


class _StoppingHandler(logging.Handler):
    """An empty `emit`, and a bare thread that sleeps; a fork ends it, a record starts the next.

    The fork waits until the kernel has forgotten the thread, as `os.fork` would warn else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._order, self._thread = threading.Event(), threading.Thread()
        os.register_at_fork(before=self._stop)

    def emit(self, record: logging.LogRecord) -> None:
        del record
        if not self._thread.is_alive():
            self._order = threading.Event()
            self._thread = threading.Thread(target=self._order.wait, daemon=True)
            self._thread.start()

    def _stop(self) -> None:
        if not self._thread.is_alive():
            return
        path = f"/proc/self/task/{self._thread.native_id}"
        self._order.set()
        self._thread.join()
        while os.access(path, os.F_OK):
            os.sched_yield()


class Stopped(Subject):
    """That handler."""

    def build(self, port: int) -> logging.Handler:  # noqa: ARG002 - nothing is sent
        """Return it."""
        return _StoppingHandler()
