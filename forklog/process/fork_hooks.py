"""Hooks around ``os.fork``: they end the flush threads before it, and let them run again after it.

From Python 3.12 on ``os.fork`` warns when another thread lives, and rightly: the child inherits the
locks that it holds. They are paused: the next record (or a pending one) starts another.
Before 3.12 that is done under gevent and eventlet alone, whose threads live on in the child.
Elsewhere nothing warns, and the child never touches what it inherits.
On every Python a fork waits here for what other rooms ask it to wait for (``base.fork_waits``).
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from forklog.clock import monotonic
from forklog.process.base import Member, fork_waits, register_at_fork
from forklog.process.green import are_green
from forklog.process.members import Members

T = TypeVar("T")
_VERSION = sys.version_info[:2]


_live: Members[Member] = Members()


def register(forker: Member) -> None:
    """Have ``forker`` called before and after each ``os.fork`` of this process."""
    _live.add(forker)


def _each(call: Callable[[Member], T]) -> list[T]:
    """Return the answers of those that have one: what is raised would be printed to stderr."""
    answers: list[T] = []
    try:
        forkers = _live.all()
    except RecursionError:
        return answers
    for forker in forkers:
        try:
            answers.append(call(forker))
        except Exception:  # noqa: BLE001, PERF203, S112 - see above
            continue
    return answers


def _is_pause_needed() -> bool:
    return _VERSION >= (3, 12) or are_green()


def _before() -> None:
    try:
        since = monotonic()  # one bound for all waits
        is_pausing = _is_pause_needed()
        if is_pausing:
            _each(lambda forker: forker.pause())
        for wait in fork_waits:
            wait(since)
        if is_pausing:
            _each(lambda forker: forker.before_fork(since))
    except RecursionError:
        return  # it would be printed; a fork beside the thread is safe, see above


def _after_in_parent() -> None:
    try:
        if not _is_pause_needed():
            return
        is_wanted = any(_each(lambda forker: forker.after_fork_in_parent()))
        if is_wanted and not (_restart_soon and _is_main_thread()):
            _restart()
    except RecursionError:
        return  # the next record restarts what is wanted


def _after_in_child() -> None:
    try:
        if are_green():
            _each(lambda forker: forker.end_in_child())
    except RecursionError:
        return  # the copy ends where it finds that it is in a child


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _restart(_nothing: object = None) -> int:
    try:
        _each(lambda forker: forker.restart())
    except RecursionError:
        return 0  # the next record does it
    return 0


def _pending_call() -> Callable[[], object] | None:
    """Return a function that has the main thread call `_restart` when ``os.fork`` has returned.

    Python 3.13 counts the threads after the at-fork callbacks, so one that they start is warned of.
    A pending call runs between two bytecodes of the main thread. What asks for it must run none
    itself, so it is C from end to end. Where another thread forks, the main thread may be blocked,
    and is a reason for the warning anyway: there the callback restarts at once.
    """
    try:
        import ctypes  # noqa: PLC0415 - optional in a build of Python

        call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_restart)
        return functools.partial(ctypes.pythonapi.Py_AddPendingCall, call, None)
    except Exception:  # noqa: BLE001 - no ctypes, no memory to execute, not CPython
        return None


_restart_soon = _pending_call() if _VERSION >= (3, 13) else None
register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
if _restart_soon is not None:
    register_at_fork(after_in_parent=_restart_soon)
