"""Stretches in which the flush thread may hold locks of OpenSSL; a fork waits for their end.

A fork copies such a lock as it is. The thread that would release it is not copied, so the first TLS
connection of the child would wait for ever. No at-fork hook of OpenSSL's or of CPython's helps.
Where Python's hooks run, ``os.fork`` waits here until no thread of ours is in such a stretch,
`FORK_SECONDS` at most, and none enters one meanwhile. A process that opens no connection just then
pays for one look.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from time import sleep

from forklog.clock import monotonic
from forklog.process.base import pid, register_at_fork

FORK_SECONDS = 0.1  # for a handshake whose server does not answer; one that does takes less
_ENTER_SECONDS = 1.0  # more than a fork takes; so a hook that did not run stops no connection
_STEP_SECONDS = 0.001
_new_lock, _get_ident = threading.Lock, threading.get_native_id  # as they were at import


class _Gate:
    """Let threads in one at a time; closed while the process forks."""

    def __init__(self) -> None:
        self.door = _new_lock()
        self.inside: dict[object, None] = {}
        self.is_closed = False

    def close(self) -> None:
        """Wait, a bounded time, until no thread is inside; let none in."""
        deadline = monotonic() + FORK_SECONDS
        self.is_closed = self.door.acquire(timeout=FORK_SECONDS)
        while self.inside and monotonic() < deadline:
            sleep(_STEP_SECONDS)

    def open(self) -> None:
        """Let threads in again."""
        if self.is_closed:
            self.is_closed = False
            self.door.release()


_gates = [_Gate()]


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Have forks wait for the end of the block. Blocks while the process forks, a second at most.

    Does nothing in the main thread: it cannot fork meanwhile, and green threads run in it.
    """
    gate, token = _gates[0], object()
    if _get_ident() == pid():
        yield
        return
    is_let_in = gate.door.acquire(timeout=_ENTER_SECONDS)
    try:
        gate.inside[token] = None
        if is_let_in:
            gate.door.release()
        yield
    finally:
        gate.inside.pop(token, None)


def _before() -> None:
    _gates[0].close()


def _after_in_parent() -> None:
    _gates[0].open()


def _after_in_child() -> None:
    _gates[0] = _Gate()


register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
