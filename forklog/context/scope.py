"""Begins and ends a unit of work, and binds fields to it; used by middlewares and task queues."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from typing import Any

from forklog.context.base import CURRENT, NOTHING, LogContext, Scope
from forklog.errors import Hidden, OptionError

ENTRY_EXTRAS = frozenset(
    {
        "http_request",
        "json_fields",
        "labels",
        "resource",
        "source_location",
        "span_id",
        "trace",
        "trace_sampled",
    }
)
_OF_LOGGING = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "asctime",
    "message",
    "taskName",
}
RESERVED = ENTRY_EXTRAS | _OF_LOGGING
"""Names that no bound field may have."""


def begin(context: LogContext, *, is_request: bool = False) -> Scope:
    """Make a scope the current one of this thread or task, and return it."""
    scope, outer = Scope(context, is_request=is_request), CURRENT.get()
    # One that is over, or of a request that its server never closed, does not come back.
    is_stale = outer is not None and (
        outer.whole().is_over or (is_request and outer.whole().is_request)
    )
    scope.outer = None if is_stale else outer
    CURRENT.set(scope)
    return scope


def end(scope: Scope) -> None:
    """End a scope; where it is the current one, what was before is current again.

    Tasks and threads that it has started keep it.
    """
    scope.is_over = True
    current = CURRENT.get()
    if current is not None and current.whole() is scope:
        CURRENT.set(scope.outer)


def new_trace() -> str:
    """Return a random trace id, for work that came without one; the same in no two forks."""
    return os.urandom(16).hex()


def trace_of_id(number: object) -> str | None:
    """Return the trace of a task that came without one: its id, so that retries share it."""
    try:
        return uuid.UUID(str(number)).hex
    except ValueError:
        return None


def bind(**fields: Any) -> None:
    """Add fields to all later records of the present unit of work.

    In a request or a task of a queue that is the whole of it: what a dependency, a child task or a
    thread of a pool binds is seen by all. Elsewhere it is the present thread or asyncio task, until
    `unbind_all`. The fields become keys of ``jsonPayload`` beside ``message``. Fields of
    ``with bound()`` win over them, those of ``extra=`` over both. Does not block; safe in any
    thread.

    Args:
        **fields: any values; they are encoded at each log call.

    Raises:
        OptionError: a name is one that forklog or `logging` uses.
    """
    _check(fields)
    scope = CURRENT.get()
    whole = begin(NOTHING) if scope is None else scope.whole()
    whole.fields = {**whole.fields, **fields}
    whole.tails = {}


@contextlib.contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to the records of a ``with`` block: of this task or thread, and what it starts.

    Other tasks of the same request do not see them. Does not block.

    Args:
        **fields: as for `bind`.

    Raises:
        OptionError: a name is one that forklog or `logging` uses.
    """
    _check(fields)
    before = CURRENT.get()
    scope = Scope(NOTHING if before is None else before.whole().context)
    if before is not None:
        scope.parent, scope.bound = before.whole(), before.bound
    scope.bound = {**scope.bound, **fields}
    token = CURRENT.set(scope)
    try:
        yield
    finally:
        if CURRENT.get() is scope:
            with contextlib.suppress(ValueError):  # a generator that another context closes
                CURRENT.reset(token)


def unbind(*names: str) -> None:
    """Remove fields that `bind` has added; a name that is not bound is ignored."""
    scope = CURRENT.get()
    if scope is not None:
        whole = scope.whole()
        whole.fields = {name: item for name, item in whole.fields.items() if name not in names}


def unbind_all() -> None:
    """Remove all fields that `bind` has added to the present unit of work."""
    scope = CURRENT.get()
    if scope is not None:
        scope.whole().fields = {}


def _check(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name in RESERVED:
            rule = "is a name that forklog or logging uses"
            raise OptionError(name, Hidden(value), rule, f"choose another, such as {name}_")
