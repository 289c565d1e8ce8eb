"""Wakes one thread that sleeps, such as the worker; setting it neither waits nor takes a lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_allocate_lock = threading.Lock  # as it was at import, like the flush thread; see there


class Wakeup:
    """Wake one waiting thread. Wake-ups without a waiter are kept, but only one of them."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        """Start unset: the lock is held, and `set` releases it."""
        self._lock = _allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiter. Never blocks; safe in signal handlers and finalizers."""
        try:
            self._lock.release()
        except RecursionError:  # a RuntimeError as well, and the wakeup may not have been set
            raise
        except (RuntimeError, ValueError):  # set already; ValueError of gevent's locks
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until `set` is called, at most ``timeout`` seconds; without one, no wake-ups."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX)))


class Wakeups:
    """Wake all threads that wait for one event. No lock, so an exception leaves none held.

    A waiter enters `waiting`, looks whether there is still something to wait for, and waits at its
    wakeup. One that an exception has thrown out may leave its wakeup behind until the next `set`.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        """Have no waiter."""
        self._waiting: dict[Wakeup, None] = {}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[Wakeup]:
        """Give a wakeup that the next `set` sets."""
        wakeup = Wakeup()
        self._waiting[wakeup] = None
        try:
            yield wakeup
        finally:
            self._waiting.pop(wakeup, None)  # set and forgotten already, or not

    def set(self) -> None:
        """Wake all waiters. Never blocks."""
        with contextlib.suppress(KeyError):  # another thread sets them, too
            while self._waiting:
                self._waiting.popitem()[0].set()
