"""Gives each new thread the scope of the one that starts it, once `carry_threads` is called."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from typing import Any

from forklog.context.base import CURRENT, Scope

_MARK = "_forklog_carries"
_OF_ALL = {"concurrent.futures.process", "logging.handlers", "multiprocessing.pool"}


def carry_threads() -> None:
    """Have the records of a thread belong to the request or task that started it.

    Threads of `threading.Thread` and calls of `concurrent.futures.ThreadPoolExecutor.submit` carry
    the present scope, bound fields included, from now on; it patches ``start`` and ``submit``.
    asyncio carries it without, by ``asyncio.to_thread`` and by tasks. A thread keeps it as long as
    it lives, but for those of `multiprocessing.pool` and of `logging.handlers`, which serve all. A
    second call does nothing. Does not block.
    """
    if not hasattr(threading.Thread.start, _MARK):
        _patch(threading.Thread, "start", _starting(threading.Thread.start))
    # Imported only now: it registers hooks at the end of the process.
    pool = importlib.import_module("concurrent.futures.thread").ThreadPoolExecutor
    if not hasattr(pool.submit, _MARK):
        _patch(pool, "submit", _submitting(pool.submit))


def has_threads_carried() -> bool:
    """Tell whether `carry_threads` was called."""
    return hasattr(threading.Thread.start, _MARK)


def _patch(owner: type, name: str, function: Any) -> None:
    setattr(function, _MARK, True)
    setattr(owner, name, function)


def _starting(start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def start_in_scope(self: threading.Thread) -> None:
        scope = CURRENT.get()
        if scope is None:
            start(self)
        elif _serves_all(self):
            _run(None, start, self)
        else:
            _start_thread(self, scope, start)

    return start_in_scope


def _start_thread(
    thread: threading.Thread, scope: Scope, start: Callable[[threading.Thread], None]
) -> None:
    own = vars(thread)
    before = own.get("run")
    own["run"] = functools.partial(_run_thread, thread, scope, thread.run)
    try:
        start(thread)
    except Exception:  # no thread was to be had: another request may start it later
        if before is None:
            own.pop("run", None)
        else:
            own["run"] = before
        raise


def _serves_all(thread: threading.Thread) -> bool:
    """Tell of a thread that Python's library starts at first use, and any request gives work to."""
    target = vars(thread).get("_target")
    return not _OF_ALL.isdisjoint((type(thread).__module__, getattr(target, "__module__", None)))


def _submitting(submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def submit_in_scope(self: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        scope = CURRENT.get()
        if scope is None:
            return submit(self, function, *args, **kwargs)
        # The thread that this may start serves other calls later, so it carries nothing itself.
        return _run(None, submit, self, _run, scope, function, *args, **kwargs)

    return submit_in_scope


def _run_thread(thread: threading.Thread, scope: Scope, run: Callable[[], None]) -> None:
    vars(thread).pop("run", None)  # or the thread would keep itself alive
    _run(scope, run)


def _run(scope: Scope | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = CURRENT.set(scope)
    try:
        return function(*args, **kwargs)
    finally:
        CURRENT.reset(token)
