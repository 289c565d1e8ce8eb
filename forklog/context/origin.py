"""Tells the scopes where a record was made, and in which scope and thread an exception was raised.

Takes what logging notes on a record, and what a middleware leaves on an exception. A handler that
keeps records for a while, or a queue, has them handled by others.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forklog.context.base import Scope

_HAS_TASKS = sys.version_info >= (3, 12)
_LEFT_BEHIND = "_forklog_scope"
_of_thread = threading.local()


def is_of(record: logging.LogRecord, begun: float) -> bool:
    """Tell whether a record was made here, not before a time. Never raises.

    Here is the thread that runs, and its asyncio task, which logging names from Python 3.12 on.
    Where logging notes neither, each record counts as made here.

    Args:
        record: any record.
        begun: seconds since the epoch.
    """
    try:
        if record.created < begun:
            return False
        if record.thread != threading.get_ident() and record.thread is not None:
            return False
        task = getattr(record, "taskName", None) if _HAS_TASKS else None
        return task is None or _is_running(task)
    except Exception:  # noqa: BLE001 - a record class of the application
        return False


def _is_running(task: str) -> bool:
    try:
        running: Any = sys.modules["asyncio"].current_task()
    except (KeyError, RuntimeError):  # no loop runs: a filter has set the name
        return True
    return running is not None and running.get_name() == task


class _Left:
    """A scope, and a mark of the thread in which an exception has left it."""

    __slots__ = ("scope", "thread")

    def __init__(self, scope: Scope) -> None:
        self.scope, self.thread = scope, _mark_of_thread()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Have a copy of the exception, and a pickled one, keep nothing."""
        return type(None), ()


def leave_behind(error: BaseException, scope: Scope) -> None:
    """Have an exception that leaves a scope keep it, for whoever logs the traceback outside."""
    with contextlib.suppress(Exception):  # a class of the application that allows no attribute
        setattr(error, _LEFT_BEHIND, _Left(scope))


def scope_of(error: object) -> Scope | None:
    """Return the scope that an exception has left in this thread; another one may share it."""
    left = getattr(error, "__dict__", {}).get(_LEFT_BEHIND)
    return left.scope if isinstance(left, _Left) and left.thread is _mark_of_thread() else None


def _mark_of_thread() -> object:
    """Return what is of this thread alone; idents are used again once a thread has ended."""
    mark = getattr(_of_thread, "mark", None)
    if mark is None:
        mark = _of_thread.mark = object()
    return mark
