"""Step 5, the end of a pipeline: what is left goes to the last resort, within one deadline."""

from __future__ import annotations

import sys
from collections.abc import Callable

from forklog.clock import monotonic
from forklog.deadlines import exit_deadline
from forklog.driver import Driver
from forklog.flusher import Flusher
from forklog.last_resort import write_last_resort
from forklog.options import Options
from forklog.report import Report

__all__ = ["Ending", "are_imports_over"]

_THREAD_SECONDS = 0.2  # for a thread whose work is done, or given up, to end


class Ending:
    """Give up, stop and say so; the pipeline decides when."""

    def __init__(self, options: Options, flusher: Flusher, driver: Driver, report: Report) -> None:
        """Do nothing yet."""
        self._options = options
        self._flusher = flusher
        self._driver = driver
        self._report = report

    def give_up(self, reason: str) -> None:
        """Write everything that is not settled to the last resort, and count it as dropped."""
        entries = self._flusher.give_up(reason)
        if entries:
            write_last_resort(self._options.last_resort, entries, self._report)
            self._flusher.news.of_drop(reason, len(entries), entries)

    def end_thread(self, mark: Callable[[], bytes], deadline: float, *, is_running: bool) -> None:
        """Have the flush thread end; deliver here what it left, such as its last notice of drops.

        Args:
            mark: tells, once the thread has ended, below which key everything is to be settled.
            deadline: on the monotonic clock.
            is_running: whether there is a thread.
        """
        driver = self._driver
        driver.is_stopping = True
        driver.bell.ring()
        thread = driver.thread
        if is_running and not driver.is_own_thread():
            least = 0.0 if exit_deadline().is_ending else _THREAD_SECONDS
            thread.await_ended(max(deadline, monotonic() + least), self._is_hopeless)
            if thread.ended.is_set():
                thread.await_gone(self._flusher.is_busy)
        if thread.ended.is_set() or not is_running:
            driver.flush_inline(mark(), deadline)

    def _is_hopeless(self) -> bool:
        """Tell whether the thread waits for the answer to what was given up meanwhile."""
        flusher = self._flusher
        return flusher.is_busy() and not (flusher.has_hand() or flusher.news.is_calling)

    def say_all(self) -> None:
        """Account for what was shed, and say what the rate limit has withheld so far."""
        self._driver.sheds.tell()
        self._report.finish()


def are_imports_over() -> bool:
    """Tell whether the interpreter takes its modules down: no thread runs, urllib3 cannot work.

    What finalizers log then goes to the last resort.
    """
    return getattr(sys, "meta_path", None) is None
