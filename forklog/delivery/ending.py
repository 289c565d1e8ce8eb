"""The end of a pipeline: what is left goes to the last resort, within one deadline."""

from __future__ import annotations

import sys
from collections.abc import Callable

from forklog.clock import monotonic
from forklog.delivery.base import Reporter
from forklog.delivery.last_resort import write_last_resort
from forklog.delivery.sending.sender import Sender
from forklog.delivery.worker import Worker
from forklog.options import Options
from forklog.process.base import Host

_THREAD_SECONDS = 0.2  # for a thread whose work is done, or given up, to end


class Ending:
    """Give up, stop and say so; the pipeline decides when."""

    def __init__(
        self, options: Options, sender: Sender, worker: Worker, report: Reporter, host: Host
    ) -> None:
        """Do nothing yet."""
        self._options = options
        self._sender = sender
        self._worker = worker
        self._report = report
        self._host = host

    def give_up(self, reason: str) -> None:
        """Write everything that is not settled to the last resort, and count it as dropped."""
        entries = self._sender.give_up(reason)
        if entries:
            write_last_resort(self._options.last_resort, entries, self._report)
            self._sender.losses.of_drop(reason, len(entries), entries)

    def end_thread(self, mark: Callable[[], bytes], deadline: float, *, is_running: bool) -> None:
        """Have the flush thread end; deliver here what it left, such as its last notice of drops.

        Args:
            mark: tells, once the thread has ended, below which key everything is to be settled.
            deadline: on the monotonic clock.
            is_running: whether there is a thread.
        """
        worker = self._worker
        worker.is_stopping = True
        worker.wakeup.set()
        thread = worker.thread
        if is_running and not worker.is_own_thread():
            least = 0.0 if self._host.is_ending() else _THREAD_SECONDS
            thread.await_ended(max(deadline, monotonic() + least), self._is_hopeless)
            if thread.ended.is_set():
                thread.await_gone(self._sender.is_busy)
        if thread.ended.is_set() or not is_running:
            worker.flush_inline(mark(), deadline)

    def _is_hopeless(self) -> bool:
        """Tell whether the thread waits for the answer to what was given up meanwhile."""
        sender = self._sender
        return sender.is_busy() and not (sender.has_in_flight() or sender.losses.is_calling)

    def say_all(self) -> None:
        """Account for what was shed, and say what the rate limit has withheld so far."""
        self._worker.overflow.tell()
        self._report.finish()


def are_imports_over() -> bool:
    """Tell whether the interpreter takes its modules down: no thread runs, urllib3 cannot work.

    What finalizers log then goes to the last resort.
    """
    return getattr(sys, "meta_path", None) is None
