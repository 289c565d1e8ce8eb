"""What is known of the work that logs, and where it may be known.

Frameworks come as sources; the encoder asks for the present `LogContext`. Only what the application
has imported already is asked (``sys.modules``). Importing a framework later is noticed. Nothing
here blocks or raises.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class LogContext(NamedTuple):
    """What is known of the work that logs: bare trace id, span id, sampling, HttpRequest."""

    trace: str | None = None
    span_id: str | None = None
    sampled: bool = False
    http_request: Mapping[str, Any] | None = None


class RequestFields(dict[str, Any]):
    """The HttpRequest of a request, with a place for its bytes: all its records have the same."""

    __slots__ = ("encoded",)

    def __init__(self, **fields: Any) -> None:
        """Begin with the fields alone."""
        super().__init__(fields)
        self.encoded = b""


NOTHING = LogContext()


class Source(NamedTuple):
    """A framework or library that may know the work which logs."""

    module: str
    """The source is asked only while this module is in ``sys.modules``."""
    current: Callable[[], LogContext | None]
    """Returns what is known, None where nothing is; may raise whatever the framework raises."""


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
        self._known = known
        self._sources: tuple[Source, ...] = ()

    def sources(self) -> tuple[Source, ...]:
        """Return the sources; empty, and at the cost of one comparison, for most applications."""
        if len(sys.modules) != self.modules_seen:
            self.modules_seen = len(sys.modules)
            self._sources = tuple(source for source in self._known if source.module in sys.modules)
            self.has_sources = bool(self._sources)
        return self._sources

    def current(self) -> LogContext:
        """Return what the sources know: a request's headers, overridden by a live span.

        Returns:
            `NOTHING` itself where none of them knows anything.
        """
        known = NOTHING
        for source in self.sources():
            try:
                found = source.current()
            except Exception:  # noqa: BLE001, S112 - foreign code, half-imported modules
                continue
            if found is not None:
                request = known.http_request
                known = found if found.http_request else found._replace(http_request=request)
        return known
