"""Connects scopes to the task queues that the application has imported, for the fork gate.

It looks again after later imports.

`forklog.setup` has the loggers of frameworks looked at with them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from forklog.context import celery, rq, sources
from forklog.context.base import Context, LogContext

_CONNECTORS: dict[str, Callable[[Any, Callable[[], LogContext]], bool]] = {
    celery.MODULE: celery.connect,
    sources.DJANGO_SIGNALS: sources.clear_at_end,
    rq.MODULE: rq.connect,
}
_context = Context(sources.SOURCES)
_connected: set[str] = set()  # inherited by a forked child, as the connections are
_seen = [-1]

ALSO: list[Callable[[], bool]] = []
"""What else is called at each look; returns whether it has seen all, else the next call looks."""


CHANGES: list[Callable[[], bool]] = []
"""What else is asked whether to look; called by each request, so it has to be cheap."""


def look_again() -> None:
    """Have the next call of `connect` look, such as after a configuration of logging."""
    _seen[0] = -1


def connect() -> None:
    """Connect to what is loaded. Never raises, and waits for no lock.

    Called where a handler is built and where a request begins. It costs a comparison or two while
    no module was imported since.
    """
    if len(sys.modules) == _seen[0]:
        for changed in CHANGES:
            if changed():
                break
        else:
            return
    _seen[0] = len(sys.modules)
    for name, connect_to in _CONNECTORS.items():
        module = sys.modules.get(name)
        if module is None or name in _connected:
            continue
        with contextlib.suppress(Exception):  # half imported, or unlike the versions known
            if connect_to(module, _context.current):
                _connected.add(name)
            else:
                _seen[0] = -1
    for look in ALSO:
        with contextlib.suppress(Exception):  # a logger class of the application
            if not look():
                _seen[0] = -1
