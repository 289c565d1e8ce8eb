"""Gives one frame at a time a right, a turn, that is free again even if an exception strikes.

CPython runs signal handlers at function entries, after calls and at jumps back. So a handler's
exception may come after ``lock.acquire`` has returned and before the ``try`` of the next line, or
at the entry of a ``release`` method, and the lock stays held for ever. From 3.14 on it may come in
a ``with lock:`` as well, between ``__enter__`` and the block. Here each frame makes an object of
its own before, the *taker*. One step of C inside the ``try`` puts it into the turn, and the frame
takes it out again without any call::

    taker = object()
    try:
        if turn.setdefault(TURN, taker) is not taker:
            return  # another frame has it
        ...
    finally:
        if TURN in turn and turn[TURN] is taker:
            del turn[TURN]

On 3.10 CPython looks for signals at the entry of the ``finally``, too. A second handler that raises
there, right after the first, leaves the turn taken, until the next one asks for it. `Turn` sees
there that no frame refers to the taker any more.

`TurnLock` is a lock made of that, and `EndEvent` what is set when a thread has ended.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether a line of Python without a call is one step. Not so in a free-threaded build."""

TURN = 0
"""The only key of a turn."""

_REFERENCES = 3  # to a taker: of the turn, and two of the function that counts them
_STEP_SECONDS = 0.0005  # between two looks of a thread that waits
# As it was at import, like the flush thread; see `forklog.process.thread`.
_allocate_lock = threading.Lock
_never = _allocate_lock()  # held for ever: to wait for it is to sleep
_never.acquire()
_is_finalizing = sys.is_finalizing
T = TypeVar("T")


class Turn(dict[int, object]):
    """Empty while free; else it holds the taker, an object of the frame that has the turn."""

    __slots__ = ()

    def __missing__(self, _key: int) -> None:
        """Have none: without the interpreter's lock another frame may end between two looks."""

    if sys.version_info < (3, 11):

        def setdefault(self, key: int, taker: object, /) -> object:  # type: ignore[override]
            """Return the taker that has the turn; the given one if the turn is free, or was left.

            Each taker is in a local variable of the frame that has the turn.
            """
            holder = super().setdefault(key, taker)
            if holder is not taker and sys.getrefcount(holder) <= _REFERENCES:
                if key in self and self[key] is holder:
                    del self[key]
                holder = super().setdefault(key, taker)
            return holder


def alone(turn: Turn, act: Callable[[], object]) -> None:
    """Do something, or nothing where another frame has the turn. Never waits."""
    taker = object()
    try:
        if turn.setdefault(TURN, taker) is taker:
            act()
    finally:
        if TURN in turn and turn[TURN] is taker:
            del turn[TURN]


class TurnLock:
    """What `threading.RLock` is for, by a turn: threads run functions, one thread at a time.

    For memory work only: a thread that waits looks again and again.
    """

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        """Be free."""
        self._turn: dict[int, object] = Turn()

    def is_free(self) -> bool:
        """Tell whether no thread has it."""
        return TURN not in self._turn

    def run(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function while no other thread's runs; within it, this may be called again.

        Raises:
            BaseException: what the function raises, or a signal handler.
        """
        turn, ident = self._turn, threading.get_ident()
        taker = [ident]
        try:
            while (holder := turn.setdefault(TURN, taker)) is not taker and holder != taker:
                if _is_finalizing():  # no other thread runs any more, nor gives its turn back
                    turn[TURN] = taker
                else:
                    _never.acquire(timeout=_STEP_SECONDS)
            return work(*args, **kwargs)
        finally:
            if TURN in turn and turn[TURN] is taker:
                del turn[TURN]


class EndEvent:
    """What `threading.Event` is for, of the end of a thread; without the ``with lock:`` inside it.

    An exception of a signal handler in the middle of `wait` may leave an event's lock held. The
    thread would wait for that in `set` for ever. Here it costs another thread that waits at the
    same time its whole timeout, at most.
    """

    __slots__ = ("_has_come", "_lock")

    def __init__(self) -> None:
        """Be to come."""
        self._has_come = False
        self._lock = _allocate_lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        """Tell whether it has come."""
        return self._has_come

    def set(self) -> None:
        """Let it come; wakes those who wait. May be repeated; never blocks."""
        self._has_come = True
        try:
            self._lock.release()
        except RecursionError:  # a RuntimeError as well, and who waits may not have been woken
            raise
        except (RuntimeError, ValueError):  # gevent's, of a lock that is free: set before
            return

    def wait(self, timeout: float) -> bool:
        """Wait for it, at most so many seconds; tell whether it has come."""
        if not self._has_come and self._lock.acquire(timeout=max(0.0, timeout)):
            self.set()  # the next one's turn
        return self._has_come
