"""Step 5, beside the pipeline: one sleeper, woken by ringers that never wait and need no lock."""

from __future__ import annotations

import threading

__all__ = ["Bell"]

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
        except Exception:  # noqa: BLE001 - rung already; gevent's lock has a class of its own for it
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until the bell rings, for at most ``timeout`` seconds; without one, no wake-ups."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX)))
