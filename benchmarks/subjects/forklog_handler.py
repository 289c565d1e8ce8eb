"""forklog's own handler as a subject: with its defaults, and with a spool."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import forklog
from benchmarks import work
from benchmarks.subjects.subject import Subject

if TYPE_CHECKING:
    import logging


class Forklog(Subject):
    """The handler with its defaults."""

    wire = "http"
    extra = work.EXTRA
    carries_trace = True
    handler: forklog.CloudLoggingHandler

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        return forklog.CloudLoggingHandler(
            project="bench",
            log_name="bench",
            endpoint=f"http://127.0.0.1:{port}",
            **self.options,
        )

    def hurry(self) -> None:
        """Wait until all is settled."""
        self.handler.flush(60.0)

    def dropped(self) -> int:
        """Return what its counters say."""
        return sum(self.handler.stats().dropped.values())


class Spooled(Forklog):
    """With a spool of its own in the folder BENCH_SPOOL, which whoever runs this removes."""

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        self.options["spool"] = f"{os.environ['BENCH_SPOOL']}/{os.getpid()}"
        return super().build(port)
