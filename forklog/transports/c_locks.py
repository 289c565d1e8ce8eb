"""Marks where the flush thread may hold locks of C libraries; a fork waits until it has left.

They are OpenSSL's, and those of the resolver of names. A fork copies such a lock as it is. The
thread that would release it is not copied, so the first connection of the child would wait for
ever. No at-fork hook of OpenSSL's, of the C library's or of CPython's helps.
Where Python's hooks run, ``os.fork`` waits here until no thread of ours is in such a stretch, and
none enters one meanwhile. It waits `FORK_SECONDS` at most for one that waits for a server and so
holds no lock. It waits `LONGEST_SECONDS` at most for one that runs, or would on a machine that is
less busy. A process that opens no connection just then pays for one look.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from time import sleep

from forklog.clock import monotonic
from forklog.process.base import fork_waits, pid, register_at_fork

FORK_SECONDS = 0.1  # for a handshake whose server does not answer; one that does takes less
LONGEST_SECONDS = 0.8
_ENTER_SECONDS = 1.0  # more than a fork takes; so a hook that did not run stops no connection
_STEP_SECONDS = 0.001
_get_ident = threading.get_native_id  # as it was at import


class _Gate:
    """Closed while the process forks. No lock, so an exception leaves none held."""

    def __init__(self) -> None:
        self.inside: dict[object, int] = {}
        """A token for each thread in a stretch, with the system's number of the thread."""
        self.is_closed = False

    def close(self, since: float) -> None:
        """Let no thread in, and wait, a bounded time from ``since`` on, until none is inside."""
        self.is_closed = True  # before the look; who enters looks here after it is inside
        while self.inside and self._is_to_wait(monotonic() - since):
            sleep(_STEP_SECONDS)

    def _is_to_wait(self, seconds: float) -> bool:
        """Tell whether to wait on, after so many seconds, for the threads that are inside."""
        if seconds < FORK_SECONDS:
            return True
        return seconds < LONGEST_SECONDS and any(map(_is_running, list(self.inside.values())))

    def open(self) -> None:
        """Let threads in again."""
        self.is_closed = False

    def enter(self, token: object) -> None:
        """Be inside; waits while it is closed, a bounded time."""
        deadline = monotonic() + _ENTER_SECONDS
        while True:
            self.inside[token] = _get_ident()
            if not self._is_shut(deadline):
                return
            del self.inside[token]
            while self._is_shut(deadline):
                sleep(_STEP_SECONDS)

    def _is_shut(self, deadline: float) -> bool:
        return self.is_closed and monotonic() < deadline


def _is_running(thread: int) -> bool:
    """Tell whether a thread is on a processor, or waits for one or for a disk; False if unknown.

    One that waits for the interpreter's lock, which the fork holds, is in no function of C's.
    """
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(512).rpartition(b") ")[2][:1] in {b"R", b"D"}
    except OSError:
        return False


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
    try:
        gate.enter(token)
        yield
    finally:
        gate.inside.pop(token, None)


def _before(since: float) -> None:
    try:
        _gates[0].close(since)
    except RecursionError:
        return  # closed or not: what follows is a call less deep


def _after_in_parent() -> None:
    try:
        _gates[0].open()
    except RecursionError:
        return  # it was not closed, at this depth


def _after_in_child() -> None:
    try:
        _gates[0] = _Gate()
    except RecursionError:
        return  # it was not closed, at this depth


fork_waits.append(_before)
register_at_fork(after_in_parent=_after_in_parent, after_in_child=_after_in_child)
