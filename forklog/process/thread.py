"""The flush thread: the worker starts it in any context, and waits for its end in the kernel.

Belongs to the worker, which gives it the loop to run.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections import deque
from collections.abc import Callable
from itertools import starmap
from typing import Any

from forklog.clock import monotonic
from forklog.process import green
from forklog.process.base import Mark, home, register_at_fork
from forklog.process.signals import leave_to_others, remember_usual
from forklog.turn import TURN, EndEvent, Turn

BUSY_SECONDS = 0.02  # a fork waits at most this long for a thread that is in a request
IDLE_SECONDS = 0.9  # ...and this long for one that needs nothing but a processor to end
_BIRTH_SECONDS = 5.0  # a thread that has not begun by then never will: its start was lost
_STACK_BYTES = 512 * 1024  # for `threading.stack_size`, where the application's is less
_START_SECONDS = 10.0  # for the start of another thread; one that takes so long never ends
_STEP_SECONDS = 0.001  # between two looks at a thread that is not busy
_GONE_SECONDS = 0.1  # from the last line of Python to the end of the kernel's task
# As it was at import, together with the wakeup's lock. An application may have gevent patch the
# modules later, and a greenlet that waits for a real lock would stop all others of its thread.
_start_new_thread, _allocate_lock = _thread.start_new_thread, _thread.allocate_lock
# For `threading.stack_size`, by process: a fork copies one that is held. Not by the PID, which a
# descendant may have again.
_locks: dict[Mark, Any] = {}
_chosen: list[int] = []  # the size that the application chose, while it is another one


class _Thread(threading.Thread):
    """A thread that may have been started before gevent patched `threading`, and end after it."""

    def _delete(self) -> None:
        try:
            super()._delete()  # type: ignore[misc]
        except KeyError:  # it is known by its real ident, and get_ident() is gevent's by now
            threading._active.pop(self.ident, None)  # type: ignore[attr-defined]  # noqa: SLF001


def _start_with_room(thread: threading.Thread) -> None:
    """Start a thread with a stack that holds a TLS handshake, whatever the application chose.

    With the least that Python allows, 32 KiB, the import of a codec is a segmentation fault. The
    size is the whole interpreter's, so one thread at a time changes it. Greenlets have no such
    stack, and one that waits for a lock would stop the others.
    """
    lock = _locks.setdefault(home(), _allocate_lock())
    if green.are_green() or not lock.acquire(timeout=_START_SECONDS):
        thread.start()
        return
    try:
        _put_back()  # what a fork has copied
        # Without an argument it sets the system's, so this is one step, which no fork divides.
        _chosen.extend(starmap(threading.stack_size, ((),)))
        if size := _chosen[0]:
            threading.stack_size(max(size, _STACK_BYTES))
        thread.start()
    finally:
        _put_back()
        lock.release()


def _put_back() -> None:
    """Let new threads have the stack that the application chose."""
    if _chosen:
        threading.stack_size(_chosen[0])
        _chosen.clear()


register_at_fork(after_in_child=_put_back)


class FlushThread:
    """The flush thread of one pipeline, one after another; never two at a time."""

    __slots__ = ("_begins_until", "_green", "_tasks", "ended", "runner")

    def __init__(self) -> None:
        """Start nothing."""
        self.ended = EndEvent()
        self.ended.set()
        self._tasks: deque[int] = deque(maxlen=4)  # of the kernel's, that may still live
        self._green: Any = None
        self.runner = Turn()
        """Taken by the thread itself, so of two that were started by mistake one leaves at once."""
        self._begins_until = 0.0

    def is_up(self) -> bool:
        """Tell whether the thread runs, or was started just now and will run."""
        return TURN in self.runner or monotonic() < self._begins_until

    def start(
        self,
        name: str,
        run: Callable[[Callable[[], object]], object],
        on_failure: Callable[[], object],
    ) -> None:
        """Start the thread without waiting for it, from any context.

        Thread.start waits, and takes a lock that an interrupted frame of the calling thread may
        hold. A bare thread needs neither, so a bare thread starts the real one.

        Args:
            name: the thread's name.
            run: what it does; it is given a function to call when nothing more is to be awaited.
            on_failure: called if the bare thread cannot start the real one.

        Raises:
            RuntimeError: no thread can be started (interpreter shutdown from 3.12 on, a limit).
                Any other exception, such as a signal handler's, leaves open whether one was.
        """
        before, launch = self.ended, _Launch(self, name, run, on_failure)
        try:
            self.ended = launch.ended
            self._begins_until = monotonic() + _BIRTH_SECONDS
            _start_new_thread(launch.bare, ())
        except BaseException:
            self._begins_until, self.ended = 0.0, before
            raise

    def _begin(self, ended: EndEvent) -> bool:
        """Take the turn for a thread that begins; tell whether it has it."""
        known = self.runner.setdefault(TURN, ended)
        self._begins_until, self.ended = 0.0, known  # type: ignore[assignment]
        return known is ended

    def _fail(self) -> None:
        """Take note that the real thread could not be started."""
        self._begins_until = 0.0

    def add_task(self) -> None:
        """Remember the calling thread, which the kernel counts until it is gone."""
        self._tasks.append(threading.get_native_id())
        self._green = green.current() or self._green

    def end_in_child(self) -> None:
        """In a process forked just now: end the copy of the thread, if it is a greenlet."""
        if self._green is not None:
            green.end_in_child(self._green)

    def await_ended(self, deadline: float, is_hopeless: Callable[[], bool]) -> None:
        """Wait for a thread that was ordered to end, to a deadline, or until it is hopeless."""
        while (left := deadline - monotonic()) > 0:
            if self.ended.wait(min(BUSY_SECONDS, left)) or is_hopeless():
                return

    def await_gone(self, is_busy: Callable[[], bool], since: float | None = None) -> None:
        """Wait for a thread that was ordered to end, until the kernel counts it no more.

        ``os.fork`` of Python 3.12+ counts the kernel's tasks, and one of them outlives the last
        line of Python that it runs. Blocks for at most `BUSY_SECONDS` if the thread turns out to be
        busy. Else it blocks for as long as it takes to get a processor, `IDLE_SECONDS` at most.
        """
        since = monotonic() if since is None else since
        deadline, seconds = since + IDLE_SECONDS, since + BUSY_SECONDS - monotonic()
        while not self.ended.wait(seconds):  # of many threads, only the first are waited for
            if is_busy() or monotonic() > deadline:
                return
            seconds = _STEP_SECONDS
        deadline = min(monotonic(), deadline) + _GONE_SECONDS
        own = threading.get_native_id()  # under gevent that of all its threads
        while self._tasks:
            task = self._tasks[0]
            path = f"/proc/self/task/{task}"  # absent on other systems, where nothing is counted so
            while task != own and os.access(path, os.F_OK) and monotonic() < deadline:
                os.sched_yield()
            self._tasks.popleft()


class _Launch:
    """One start of a thread: the bare one, which starts the real one."""

    def __init__(
        self,
        thread: FlushThread,
        name: str,
        run: Callable[[Callable[[], object]], object],
        on_failure: Callable[[], object],
    ) -> None:
        self.ended = EndEvent()
        self._thread = thread
        self._name = name
        self._run = run
        self._on_failure = on_failure
        self._starter = threading.get_native_id()
        self._usual_mask: set[int] | None = None

    def bare(self) -> None:
        """Start the real thread; the body of the bare one."""
        try:
            if threading.get_native_id() != self._starter:  # else it is its starter's greenlet
                self._usual_mask = leave_to_others()
            if _thread.start_new_thread is _start_new_thread:
                self._thread.add_task()
                _start_with_room(_Thread(target=self.real, name=self._name, daemon=True))
                return
        except (RuntimeError, MemoryError):
            self._thread._fail()  # noqa: SLF001 - of this file
            self.ended.set()
            self._on_failure()
            return
        self.real()  # patched since the import: a Thread would be a greenlet

    def real(self) -> None:
        """Run, unless another thread does already."""
        try:
            if self._thread._begin(self.ended):  # noqa: SLF001 - of this file
                self._thread.add_task()
                if self._usual_mask is not None:
                    remember_usual(self._usual_mask)
                self._run(self.done)
        finally:
            self.done()

    def done(self) -> None:
        """Give back the turn; nothing more is to be awaited."""
        runner = self._thread.runner
        if TURN in runner and runner[TURN] is self.ended:
            del runner[TURN]
        self.ended.set()
