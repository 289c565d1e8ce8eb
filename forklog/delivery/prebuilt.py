"""The parts of a pipeline: all of it that may be built before its process exists.

To build them touches some 150 pages that a child shares with its parent until then, and each costs
it a page fault and a copy: half of the time of its first record. So the handler keeps a spare set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from forklog.delivery.buffer import Buffer
from forklog.delivery.ending import Ending
from forklog.delivery.sending.sender import Sender
from forklog.delivery.worker import Notice, Worker
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host, new_mark
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Transport


class Parts:
    """The parts of one pipeline; building them starts nothing and asks nobody."""

    def __init__(self, options: Options, transport: Transport, notice: Notice, host: Host) -> None:
        """Build; for ``notice`` see `Worker`."""
        self.mark = new_mark()
        self.host = host
        self.insert_ids = InsertIds()
        self.report = StderrReporter()
        self.buffer = Buffer(
            options.max_buffer_bytes,
            on_full=(lambda: self.worker.await_room()) if options.block_timeout else None,  # noqa: PLW0108
            on_shed=(lambda e: self.worker.overflow.keep(e)) if options.on_drop else None,  # noqa: PLW0108
        )
        self.sender = Sender(options, self.buffer, transport, self.report)
        self.worker = Worker(
            options, self.buffer, self.sender, self.insert_ids, self.report, notice, host
        )
        self.ending = Ending(options, self.sender, self.worker, self.report, host)


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
