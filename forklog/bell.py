"""Step 5, beside the pipeline: one sleeper, woken by ringers that never wait and need no lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["Bell", "Bells"]

_allocate_lock = threading.Lock  # as it was at import, like the flush thread; see there


class Bell:
    """Wake one waiting thread. Rings while nobody waits are kept, but only one of them."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        """Start silent: the lock is held, and to ring is to release it."""
        self._lock = _allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the waiter. Never blocks; safe in signal handlers and finalizers."""
        try:
            self._lock.release()
        except RecursionError:  # a RuntimeError as well, and the bell may not have been rung
            raise
        except (RuntimeError, ValueError):  # rung already; ValueError of gevent's locks
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until the bell rings, for at most ``timeout`` seconds; without one, no wake-ups."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX)))


class Bells:
    """Wake all threads that wait for one event. No lock, so an exception leaves none held.

    A waiter enters `waiting`, looks whether there is still something to wait for, and waits at its
    bell. One that an exception has thrown out may leave its bell behind until the next ring.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        """Have no waiter."""
        self._waiting: dict[Bell, None] = {}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[Bell]:
        """Give a bell that the next `ring` rings."""
        bell = Bell()
        self._waiting[bell] = None
        try:
            yield bell
        finally:
            self._waiting.pop(bell, None)  # rung and forgotten already, or not

    def ring(self) -> None:
        """Wake all waiters. Never blocks."""
        with contextlib.suppress(KeyError):  # another thread rings, too
            while self._waiting:
                self._waiting.popitem()[0].ring()
