"""What is known of the work that logs: `Context` finds it for the encoder, a record at a time.

A middleware, or the signal of a task queue, puts a `Scope` into a context variable. Where none has,
the frameworks that the application has imported (``sys.modules``) are asked as sources. Importing a
framework later is noticed. Nothing here blocks, takes a lock or raises.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from forklog.context.origin import is_of as is_of  # noqa: PLC0414 - the encoder asks it too
from forklog.context.origin import scope_of
from forklog.process.base import home


@dataclass(frozen=True, slots=True)
class LogContext:
    """What is known of the work that logs: bare trace id, span id, sampling, HttpRequest, more."""

    trace: str | None = None
    span_id: str | None = None
    sampled: bool = False
    http_request: Mapping[str, Any] | None = None
    labels: Mapping[str, str] | None = None
    """Labels of the work, such as the id of a celery task."""
    fields: Mapping[str, Any] | None = None
    """Fields that the application has bound; they become keys of ``jsonPayload``."""


class RequestFields(dict[str, Any]):
    """The HttpRequest of a request, with a place for its bytes: all its records have the same."""

    __slots__ = ("encoded",)

    def __init__(self, **fields: Any) -> None:
        """Begin with the fields alone."""
        super().__init__(fields)
        self.encoded = b""


NOTHING = LogContext()


@dataclass(eq=False, slots=True)
class Block:
    """A ``with bound()``: its fields, in each scope that is current within it."""

    fields: Mapping[str, Any]
    is_over: bool = False
    """Another context has ended it, such as that of a finalizer."""
    begun: float = field(default_factory=lambda: time.time())  # noqa: PLW0108 - may be frozen
    """Seconds since the epoch."""


class Scope:
    """One unit of work, such as a request or a task of a queue.

    There is one object for a unit of work. It is mutable on purpose: what child tasks, threads of a
    pool and dependencies add is seen by all of it. Each change is one assignment. Where fields
    alone are known it never changes: each task and thread that binds one gets a scope of its own.
    """

    __slots__ = ("__weakref__", "begun", "blocks", "context", "fields", "home", "is_over",
                 "is_request", "is_running", "is_within", "outer", "parent", "paused", "runner",
                 "tails", "worst")  # fmt: skip

    def __init__(
        self,
        context: LogContext,
        *,
        is_request: bool = False,
        runner: int = 0,
        begun: float | None = None,
    ) -> None:
        """Begin with what is known; nothing is bound."""
        self.context = context
        self.is_request = is_request
        self.begun = time.time() if begun is None else begun
        """Seconds since the epoch: no record that was made before is one of this work."""
        self.fields: dict[str, Any] = {}
        """What `bind` has set, for the whole unit of work."""
        self.blocks: tuple[Block, ...] = ()
        """Those of ``with bound()`` around the present task; the inner one is the last."""
        self.parent: Scope | None = None
        """The scope of the unit of work, where this one was made by ``with bound()``."""
        self.outer: Scope | None = None
        """What was current before."""
        self.is_running = False
        """Code of the application runs for this request: what begins now is within it."""
        self.is_within = False
        """It began within another unit of work, which goes on after it."""
        self.paused: Scope | None = None
        """What was current in it when it gave way to the outer unit of work."""
        self.home = home()
        """The mark of the process in which it began: false in its children."""
        self.runner = runner
        """The task or thread in which it began."""
        self.is_over = False
        self.worst = 0
        """The highest severity rank of its records so far."""
        self.tails: dict[Any, bytes] = {}
        """The end of a plain record's entry, by what the encoder has to tell apart."""

    def whole(self) -> Scope:
        """Return the scope of the unit of work."""
        return self if self.parent is None else self.parent

    def is_of_fields(self) -> bool:
        """Tell whether it holds bound fields alone: the frameworks may know the work."""
        return self.whole().context is NOTHING

    def note(self, rank: int) -> None:
        """Take note of the severity of a record."""
        whole = self.whole()
        whole.worst = max(whole.worst, rank)

    def known(self, record: logging.LogRecord | None = None) -> LogContext:
        """Return what is known now, with the fields that are bound, or were for a record."""
        whole = self.whole()
        is_late = record is not None and record.created < whole.begun  # bound after it was made
        # In one step: another thread may bind one meanwhile.
        fields = {} if is_late else dict(whole.fields)
        for block in self.blocks:
            if not block.is_over and (record is None or record.created >= block.begun):
                fields.update(block.fields)
        return replace(whole.context, fields=fields) if fields else whole.context


CURRENT: ContextVar[Scope | None] = ContextVar("forklog_scope", default=None)
"""The scope of the code that runs."""


class Source(NamedTuple):
    """A framework or library that may know the work which logs."""

    module: str
    """The source is asked only while this module is in ``sys.modules``."""
    current: Callable[[], LogContext | None]
    """Returns what is known, None where nothing is; may raise whatever the framework raises."""
    is_of_spans: bool = False
    """Whether it is asked within a scope as well: its trace and span are more exact."""


class Context:
    """The sources of context that this process has imported."""

    def __init__(self, known: Sequence[Source] = ()) -> None:
        """Look once; `sources` looks again when modules were imported since.

        Args:
            known: all sources; a later one wins, but keeps the request of an earlier one.
        """
        self.modules_seen = -1
        """How many modules were imported when the sources were looked for."""
        self.has_sources = False
        self.has_spans = False
        self._known = known
        self._sources: tuple[Source, ...] = ()
        self._spans: tuple[Source, ...] = ()

    def sources(self) -> tuple[Source, ...]:
        """Return the sources; empty, and at the cost of one comparison, for most applications."""
        if len(sys.modules) != self.modules_seen:
            self.modules_seen = len(sys.modules)
            self._sources = tuple(source for source in self._known if source.module in sys.modules)
            self._spans = tuple(source for source in self._sources if source.is_of_spans)
            self.has_sources, self.has_spans = bool(self._sources), bool(self._spans)
        return self._sources

    def current(self, error: object = None, record: logging.LogRecord | None = None) -> LogContext:
        """Return what is known: the scope, else what the frameworks know; a live span wins.

        Args:
            error: the exception that is being logged; outside of a scope it may have left one.
            record: if it was made elsewhere, what is known here is not its context.

        Returns:
            `NOTHING` itself where nothing is known.
        """
        sources, spans, scope = self.sources(), self._spans, CURRENT.get()
        has_any = scope is not None or sources
        begun = 0.0 if scope is None or scope.is_of_fields() else scope.whole().begun
        if has_any and record is not None and not is_of(record, begun):
            sources, spans, scope, record = (), (), None, None
        if scope is None and error is not None:
            scope = scope_of(error)
        if scope is None:
            return _asked(sources, NOTHING)
        if scope.is_of_fields():
            return replace(_asked(sources, NOTHING), fields=scope.known(record).fields)
        return _asked(spans, scope.known(record))

    def span_of(self) -> LogContext | None:
        """Return the live span alone, where there is one."""
        self.sources()
        known = _asked(self._spans, NOTHING)
        return None if known is NOTHING else known


def _asked(sources: Sequence[Source], known: LogContext) -> LogContext:
    """Return what sources know; a later one wins, what only an earlier one knows is kept."""
    for source in sources:
        try:
            found = source.current()
        except Exception:  # noqa: BLE001, S112 - foreign code, half-imported modules
            continue
        if found is None:
            continue
        if known is not NOTHING:
            request = found.http_request or known.http_request
            found = replace(found, http_request=request, labels=known.labels, fields=known.fields)
        known = found
    return known


MIDDLEWARES: set[str] = set()
"""The names of forklog's middlewares that this process has made or used; for the doctor."""


class FinishedRequest(NamedTuple):
    """A request that is over: what its own entry says, the parent of its records' entries."""

    context: LogContext
    started: float
    """Seconds since the epoch."""
    rank: int
    """The highest severity rank of its records."""
    fields: Mapping[str, Any]
    """An HttpRequest, whose URL has no query string."""
    query: str
    """The query string."""
