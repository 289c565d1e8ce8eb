"""Step 5, the parts of a pipeline: all of it that may be built before its process exists.

To build them touches some 150 pages that a child shares with its parent until then, and each costs
it a page fault and a copy: half of the time of its first record. So the handler keeps a spare set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from forklog.buffer import Buffer
from forklog.driver import Driver
from forklog.ending import Ending
from forklog.flusher import Flusher
from forklog.fork import new_mark
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.report import Report
from forklog.transports.base import Transport

__all__ = ["Parts", "Spare"]


class Parts:
    """The parts of one pipeline; building them starts nothing and asks nobody."""

    def __init__(self, options: Options, transport: Transport) -> None:
        """Build."""
        self.mark = new_mark()
        self.insert_ids = InsertIds()
        self.report = Report()
        self.buffer = Buffer(
            options.max_buffer_bytes,
            on_full=(lambda: self.driver.await_room()) if options.block_timeout else None,  # noqa: PLW0108
            on_shed=(lambda e: self.driver.sheds.keep(e)) if options.on_drop else None,  # noqa: PLW0108
        )
        self.flusher = Flusher(options, self.buffer, transport, self.report)
        self.driver = Driver(options, self.buffer, self.flusher, self.insert_ids, self.report)
        self.ending = Ending(options, self.flusher, self.driver, self.report)


class Spare:
    """Keep one set of parts built ahead. Takes no lock; safe in any context and after any fork.

    A fork copies it: the child takes the copy, the parent keeps its own for the next child.
    """

    def __init__(self, build: Callable[[], Parts]) -> None:
        """Have none yet."""
        self._build = build
        self._ready: list[tuple[object, Parts]] = []

    def take(self) -> Parts:
        """Return what is ready, else build it."""
        try:
            lock, parts = self._ready.pop()  # one step, so no two threads get the same
        except IndexError:
            return self._build()
        # Where gevent has patched the locks meanwhile, those of the spare would stop all greenlets.
        return parts if lock is threading.Lock else self._build()

    def renew(self) -> None:
        """Build one if none is ready; for a thread that nobody waits for."""
        if not self._ready:
            self._ready.append((threading.Lock, self._build()))
