"""Begins and ends a unit of work, and binds fields to it; used by middlewares and task queues."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from typing import Any

from forklog.context.base import CURRENT, NOTHING, Block, LogContext, Scope
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


def end(scope: Scope, *, is_kept: bool = False) -> None:
    """End a scope; where it is the current one, what was before is current again, unless kept.

    Tasks and threads that it has started keep it.
    """
    scope.is_over = True
    current = None if is_kept else CURRENT.get()
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

    In a request or a task of a queue that is the whole of it. What a dependency, a child task or a
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
    before = {} if scope is None else scope.whole().fields
    _set_fields(scope, {**before, **fields})


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
    before, block = CURRENT.get(), Block(fields)
    scope = _within(before, (*_blocks_of(before), block))
    token = CURRENT.set(scope)
    try:
        yield
    finally:
        current = CURRENT.get()
        try:
            CURRENT.reset(token)
        except ValueError:  # another context closes a generator: in its own one the scope stays
            block.is_over = True
        else:
            if current is not scope:  # a bind, or the blocks of generators that took turns
                CURRENT.set(_without(block, current))


def unbind(*names: str) -> None:
    """Remove fields that `bind` has added; a name that is not bound is ignored."""
    scope = CURRENT.get()
    if scope is not None:
        fields = scope.whole().fields
        _set_fields(scope, {name: fields[name] for name in fields if name not in names})


def unbind_all() -> None:
    """Remove all fields that `bind` has added to the present unit of work."""
    scope = CURRENT.get()
    if scope is not None:
        _set_fields(scope, {})


def _set_fields(scope: Scope | None, fields: dict[str, Any]) -> None:
    """Set the fields of a unit of work; where none is known, of this thread or task alone."""
    if scope is not None and not scope.is_of_fields():
        whole = scope.whole()
        whole.fields = fields
        whole.tails = {}
        return
    own = Scope(NOTHING)
    own.fields = fields
    CURRENT.set(_within(own, _blocks_of(scope)))


def _within(scope: Scope | None, blocks: tuple[Block, ...]) -> Scope | None:
    """Return a scope of the same unit of work within these blocks; None if nothing is left."""
    whole = Scope(NOTHING) if scope is None else scope.whole()
    if not blocks:
        return whole if whole.fields or not whole.is_of_fields() else None
    within = Scope(whole.context)
    within.parent, within.blocks = whole, blocks
    return within


def _without(block: Block, scope: Scope | None) -> Scope | None:
    """Return a scope with one block less; as it is, where it is not within that block."""
    blocks = _blocks_of(scope)
    if block not in blocks:
        return scope
    return _within(scope, tuple(each for each in blocks if each is not block))


def _blocks_of(scope: Scope | None) -> tuple[Block, ...]:
    """Return the blocks around a scope that are not over."""
    return () if scope is None else tuple(b for b in scope.blocks if not b.is_over)


def _check(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name in RESERVED:
            rule = "is a name that forklog or logging uses"
            raise OptionError(name, Hidden(value), rule, f"choose another, such as {name}_")
