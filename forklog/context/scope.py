"""Begins and ends a unit of work, and binds fields to it; used by middlewares and task queues."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
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
    scope, outer = Scope(context, is_request=is_request, runner=_runner_now()), CURRENT.get()
    if outer is not None and not _is_stale(outer.whole(), is_request=is_request):
        scope.outer = outer
        scope.is_within = not outer.is_of_fields() and not _is_beside(outer.whole(), scope)
    CURRENT.set(scope)
    return scope


def _is_stale(outer: Scope, *, is_request: bool) -> bool:
    """Tell of one that is over, or of a request that its server has never closed.

    The code of such a request has returned. If it still runs, the new request is a part of it. It
    runs in no child that was forked meanwhile and serves requests of its own.
    """
    is_live = outer.is_running and outer.home[0]
    return outer.is_over or (is_request and outer.is_request and not is_live)


def resume(scope: Scope) -> None:
    """Take note that code of a request runs; what `pause` has put aside is current again."""
    scope.is_running = True
    if scope.paused is not None:
        scope.outer, paused, scope.paused = CURRENT.get(), scope.paused, None
        CURRENT.set(paused)


def pause(scope: Scope) -> None:
    """Take note that code of a request has returned; an outer unit of work goes on.

    Without an outer one it stays current, because the next records are the server's about it.
    """
    scope.is_running = False
    current = CURRENT.get()
    if scope.is_within and current is not None and current.whole() is scope:
        scope.paused = current
        CURRENT.set(scope.outer)


def end(scope: Scope, *, is_kept: bool = False) -> None:
    """End a scope; where it is the current one, what was before is current again.

    Tasks and threads that it has started keep it.

    Args:
        scope: what `begin` gave.
        is_kept: whether it stays current, unless it is within another unit of work.
    """
    outer, scope.outer = scope.outer, None  # or those of a connection would hold each other
    scope.is_over, scope.is_running, scope.paused = True, False, None
    current = CURRENT.get()
    is_left = scope.is_within or not is_kept
    if is_left and current is not None and current.whole() is scope:
        CURRENT.set(None if outer is None or outer.whole().is_over else outer)


def _is_beside(outer: Scope, scope: Scope) -> bool:
    """Tell of an outer request whether another task or thread runs it.

    A server may begin the next request of a connection in a task that inherits the one before.
    """
    return outer.is_request and outer.runner != scope.runner


def _runner_now() -> int:
    """Return what tells the asyncio task that runs from others, else the thread."""
    try:
        task = sys.modules["asyncio"].current_task()
    except (KeyError, AttributeError, RuntimeError):  # not imported, or no loop runs
        task = None
    return threading.get_ident() if task is None else id(task)


def new_trace() -> str:
    """Return a random trace id, for work that came without one; the same in no two forks."""
    return os.urandom(16).hex()


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
    _change(lambda known: known.update(fields))


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

    def remove(known: dict[str, Any]) -> None:
        for name in names:
            known.pop(name, None)

    _change(remove)


def unbind_all() -> None:
    """Remove all fields that `bind` has added to the present unit of work."""
    _change(dict.clear)


def _change(change: Callable[[dict[str, Any]], None]) -> None:
    """Change the fields of the unit of work; where none is known, of this thread or task alone.

    They are changed where they are, because two threads of a request may do so at once.
    """
    scope = CURRENT.get()
    whole = None if scope is None else scope.whole()
    if scope is not None and whole is not None and not scope.is_of_fields():
        change(whole.fields)
        whole.tails = {}
        return
    # Of the fields before: else a filter that binds would take all from the record it looks at.
    own = Scope(NOTHING, begun=None if whole is None else whole.begun)
    own.fields = {} if whole is None else dict(whole.fields)
    change(own.fields)
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
