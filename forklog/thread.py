"""Step 5, the flush thread: started from any context, waited for until the kernel forgot it.

Belongs to the driver, which gives it the loop to run.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from forklog import green
from forklog.clock import monotonic

__all__ = ["FlushThread"]

BUSY_SECONDS = 0.02  # a fork waits at most this long for a thread that is in a request
IDLE_SECONDS = 1.0  # ...and this long for one that needs nothing but a processor to end
_GONE_SECONDS = 0.1  # from the last line of Python to the end of the kernel's task
# As it was at import, together with the bell's lock. An application may have gevent patch the
# modules later, and a greenlet that waits for a real lock would stop all others of its thread.
_start_new_thread = _thread.start_new_thread
# What a thread brings upon itself: the kernel kills one that has blocked it, past any handler.
_OWN_FAULTS = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}


class _Thread(threading.Thread):
    """A thread that may have been started before gevent patched `threading`, and end after it."""

    def _delete(self) -> None:
        try:
            super()._delete()  # type: ignore[misc]
        except KeyError:  # it is known by its real ident, and get_ident() is gevent's by now
            threading._active.pop(self.ident, None)  # type: ignore[attr-defined]  # noqa: SLF001


class FlushThread:
    """The flush thread of one pipeline, one after another; never two at a time."""

    __slots__ = ("_green", "_tasks", "ended")

    def __init__(self) -> None:
        """Start nothing."""
        self.ended = threading.Event()
        self.ended.set()
        self._tasks: deque[int] = deque(maxlen=4)  # of the kernel's, that may still live
        self._green: Any = None

    def start(
        self, name: str, run: Callable[[threading.Event], object], on_failure: Callable[[], object]
    ) -> None:
        """Start the thread without waiting for it, from any context.

        Thread.start waits, and takes a lock that an interrupted frame of the calling thread may
        hold; a bare thread needs neither, so a bare thread starts the real one.

        Args:
            name: the thread's name.
            run: what it does; it is given the event to set when nothing more is to be awaited.
            on_failure: called if the bare thread cannot start the real one.

        Raises:
            RuntimeError: no thread can be started (interpreter shutdown from 3.12 on, a limit).
        """
        before, self.ended = self.ended, (ended := threading.Event())
        starter = threading.get_native_id()

        def real() -> None:
            self._tasks.append(threading.get_native_id())
            self._green = green.current()
            run(ended)

        def bare() -> None:
            _leave_signals_to_others(starter)
            if _thread.start_new_thread is not _start_new_thread:
                return real()  # patched since the import: a Thread would be a greenlet
            self._tasks.append(threading.get_native_id())
            try:
                _Thread(target=real, name=name, daemon=True).start()
            except RuntimeError:
                ended.set()
                on_failure()

        try:
            _start_new_thread(bare, ())
        except RuntimeError:
            self.ended = before
            raise

    def end_in_child(self) -> None:
        """In a process forked just now: end the copy of the thread, if it is a greenlet."""
        if self._green is not None:
            green.end_in_child(self._green)

    def await_gone(self, is_busy: Callable[[], bool]) -> None:
        """Wait for a thread that was told to end, until the kernel counts it no more.

        ``os.fork`` of Python 3.12+ counts the kernel's tasks, and one of them outlives the last
        line of Python that it runs. Blocks for at most `BUSY_SECONDS` if the thread turns out to be
        busy, else for as long as it takes to get a processor, `IDLE_SECONDS` at most.
        """
        deadline = monotonic() + IDLE_SECONDS
        while not self.ended.wait(BUSY_SECONDS):
            if is_busy() or monotonic() > deadline:
                return
        deadline = monotonic() + _GONE_SECONDS
        own = threading.get_native_id()  # under gevent that of all its threads
        while self._tasks:
            task = self._tasks[0]
            path = f"/proc/self/task/{task}"  # absent on other systems, where nothing is counted so
            while task != own and os.access(path, os.F_OK) and monotonic() < deadline:
                os.sched_yield()
            self._tasks.popleft()


def _leave_signals_to_others(starter: int) -> None:
    """Block signals in this thread and those that it starts, unless it is its starter's greenlet.

    An application that blocks a signal in its threads wants it neither handled nor to kill the
    process meanwhile: billiard so holds a lock that its parent waits for. The kernel gives it to
    any thread that has not blocked it.
    """
    if threading.get_native_id() != starter and hasattr(signal, "pthread_sigmask"):
        faults = {getattr(signal, name, None) for name in _OWN_FAULTS}
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
