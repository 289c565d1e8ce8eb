"""Keeps the scope of one web request, and makes its own entry at its end; for the middlewares.

Takes what WSGI and ASGI say of a request, from the middlewares; gives a `FinishedRequest` to each
handler that has the option ``access_log``.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from ipaddress import ip_address
from typing import Any, Protocol

from forklog.clock import monotonic
from forklog.context.base import FinishedRequest, LogContext, RequestFields
from forklog.context.connections import connect
from forklog.context.headers import Headers, trace_of
from forklog.context.origin import leave_behind
from forklog.context.scope import begin, end, new_trace, pause, resume
from forklog.severity import rank_of_status

_MAX_DIGITS = 18  # of a size
FAILED = 500
"""What a server answers where an application fails."""
_ENDS = {"CancelledError", "GeneratorExit", "GreenletExit", "KeyboardInterrupt", "SystemExit"}
"""Exceptions by which a request is ended, by name: it did not fail. gevent.Timeout is none."""
_CLIENT_CLOSED = 499  # nginx's word for a client that went away before the answer


class AccessLog(Protocol):
    """Takes requests that are over."""

    def write_request(self, done: FinishedRequest) -> None:
        """Write the entry of a request. Must not block."""


class AccessLogs:
    """The handlers that write an entry for each request. Holds none of them alive."""

    def __init__(self) -> None:
        """Begin without any."""
        self._known: tuple[weakref.ref[AccessLog], ...] = ()

    def add(self, log: AccessLog) -> None:
        """Have a handler take the requests that end from now on."""
        self._known = (*self._without(log), weakref.ref(log))

    def discard(self, log: AccessLog) -> None:
        """Have a handler take no more."""
        self._known = self._without(log)

    def all(self) -> list[AccessLog]:
        """Return the handlers."""
        return [log for log in (known() for known in self._known) if log is not None]

    def _without(self, log: AccessLog) -> tuple[weakref.ref[AccessLog], ...]:
        return tuple(ref for ref in self._known if ref() not in (None, log))


ACCESS_LOGS = AccessLogs()


class Request:
    """A request under way, from its first line to the end of its answer."""

    __slots__ = (
        "_ended",
        "_latency",
        "_more",
        "_query",
        "_started",
        "has_entry",
        "is_begun",
        "scope",
        "size",
        "status",
    )

    def __init__(self, context: LogContext, query: str, more: dict[str, Any]) -> None:
        """Begin a scope in this thread or task.

        Args:
            context: what the headers and the request line give.
            query: the query string, which the entry of the request has only where it was asked for.
            more: further fields of the entry of the request alone.
        """
        connect()
        self._started, self._ended = time.time(), False
        self._latency = -monotonic()
        self._query, self._more = query, more
        self.has_entry = True
        self.is_begun = False
        """The server has sent the status: no failure changes it any more."""
        self.status = 0
        self.size: int | None = None
        self.scope = begin(context, is_request=True)

    def resume(self) -> None:
        """Take note that code of the application runs: a request that begins now is within it."""
        resume(self.scope)

    def pause(self) -> None:
        """Take note that it has returned; a request within another one gives way to that."""
        pause(self.scope)

    def note_status(self, status: int) -> None:
        """Take note of the status of the answer."""
        self.status = status

    def note_size(self, size: int | None) -> None:
        """Take note of the bytes of the answer's body, None where they are not known."""
        self.size = size

    def note_begun(self, *, is_begun: bool = True) -> None:
        """Take note that the server has sent the status; once it has, it has."""
        self.is_begun = self.is_begun or is_begun

    def leave_out(self) -> None:
        """Have no entry of the request itself."""
        self.has_entry = False

    def mark_sent(self) -> None:
        """Take the time: the answer is complete."""
        if self._latency < 0:
            self._latency += monotonic()

    def fail(self, error: BaseException, status: int = FAILED) -> None:
        """Take note of an exception that leaves the application: an ERROR in any case.

        Args:
            error: the exception.
            status: what the server answers, unless it has sent another status already.
        """
        leave_behind(error, self.scope)
        if not _ENDS.intersection(kind.__name__ for kind in type(error).__mro__):
            self.scope.note(rank_of_status(FAILED))
            if not self.is_begun:
                self.status = status

    def finish(self, *, is_kept: bool = False) -> None:
        """Write the entry of the request and end the scope; a second call does nothing.

        Args:
            is_kept: whether the scope stays the current one, for the server's own records. There
                are none where the request is within another one.
        """
        if not self._ended:
            self._ended = True
            self.mark_sent()
            if self.has_entry:
                self._write()
            end(self.scope, is_kept=is_kept)

    def _write(self) -> None:
        logs = ACCESS_LOGS.all()
        if not logs:
            return
        known = self.scope.context
        fields = {
            **(known.http_request or {}),
            **self._more,
            "status": self.status or _CLIENT_CLOSED,
            "latency": self._latency,
            "responseSize": self.size,
        }
        done = FinishedRequest(known, self._started, self.scope.worst, fields, self._query)
        for log in logs:
            with contextlib.suppress(Exception):  # a handler of the application's
                log.write_request(done)


def context_of(
    headers: Headers, method: object, url: str | None, agent: object, protocol: object
) -> LogContext:
    """Return the context of a request; where no header names a trace, it has one of its own."""
    trace, span_id, sampled = trace_of(headers)
    fields = RequestFields(requestMethod=method, requestUrl=url, userAgent=agent, protocol=protocol)
    return LogContext(trace or new_trace(), span_id, sampled, fields)


def peer_of(peer: object, forwarded: object) -> str | None:
    """Return the client's address: the first forwarded one if that is given, else the peer's."""
    if isinstance(forwarded, str):
        first = forwarded.partition(",")[0].strip()
        with contextlib.suppress(ValueError):
            return str(ip_address(first))
    return peer if isinstance(peer, str) else None


def size_of(value: object) -> int | None:
    """Return the number of a Content-Length."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return (
        int(text)
        if isinstance(text, str) and text.isdecimal() and len(text) <= _MAX_DIGITS
        else None
    )
