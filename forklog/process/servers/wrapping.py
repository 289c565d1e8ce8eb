"""Wraps the last method that a server's process calls, so that it flushes; for `connect`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def then_flush(
    method: Callable[..., Any],
    flush: Callable[[], object],
    is_meant: Callable[[Any], bool] = lambda _self: True,
) -> Callable[..., Any]:
    """Return ``method`` with a call of ``flush`` after it, whatever it raises.

    Args:
        method: a function of a class of the server.
        flush: blocks for ``shutdown_timeout`` at most.
        is_meant: asked with the object afterwards; where it is false, nothing is flushed.
    """

    @functools.wraps(method)
    def flushing(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            if is_meant(self):
                flush()

    return flushing
