"""Gives the lock of `logging` back while the handler's `flush` and `close` wait.

`dictConfig` and `fileConfig` flush and close the handlers of the configuration before, and hold
the lock meanwhile. A logger takes it at its first look at its level after some level was changed.
The HTTP client asks such loggers in the flush thread, so each would wait for the other.
A file of its own, apart from the host: nothing else of ours takes or releases that lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import starmap
from typing import Any, TypeVar

T = TypeVar("T")
_ONCE = ((),)  # for `starmap`: one call, without arguments


def without(call: Callable[[], T]) -> T:
    """Return ``call()``, and give the lock of `logging` back meanwhile, if this thread holds it.

    A signal handler that raises leaves the lock as it was. For that, one call of C gives it back
    and keeps what it takes to have it again. No context manager of Python's may stand around it,
    since the exception may come at the beginning of its ``__exit__``.
    """
    # What Condition.wait does with an RLock that it was given; greenlets' locks have it as well.
    lock: Any = getattr(logging, "_lock", None)
    kept: list[Any] = []
    try:
        if getattr(lock, "_is_owned", bool)():
            kept.extend(starmap(lock._release_save, _ONCE))  # noqa: SLF001
        return call()
    finally:
        if kept:
            lock._acquire_restore(kept[0])  # noqa: SLF001
