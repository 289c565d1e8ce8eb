"""Beside the handler: `logging`'s own lock, given back while `flush` and `close` wait.

`dictConfig` and `fileConfig` flush and close the handlers of the configuration before, and hold
the lock meanwhile. A logger takes it at its first look at its level after some level was changed,
and the HTTP client asks such loggers in the flush thread: each would wait for the other.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Give back the lock of `logging` for as long as the block runs, if this thread holds it."""
    # What Condition.wait does with an RLock that it was given; greenlets' locks have it as well.
    lock: Any = getattr(logging, "_lock", None)
    try:
        count = lock._release_save() if lock._is_owned() else None  # noqa: SLF001
    except AttributeError:
        count = None
    try:
        yield
    finally:
        if count is not None:
            lock._acquire_restore(count)  # noqa: SLF001
