"""Step 3, beside the encoder: trace and HTTP request of the current task, where somebody has them.

Looks only at what the application has imported already (``sys.modules``): an OpenTelemetry span,
a Django request kept by google-cloud-logging's middleware, a Flask request. Importing one of them
later is noticed. Nothing here blocks or raises.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["NOTHING", "Context", "Request", "Task"]

_TRACEPARENT = re.compile(
    r"\s?(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?\s?\Z"
)
_CLOUD_TRACE = re.compile(r"([\w-]+)(?:/([\w-]+))?(?:;o=(\d))?")
_SPAN = re.compile(r"\d{1,20}\Z", re.ASCII)
_KEY = "forklog.task"  # a request's environment is the place that lives as long as the request
_DJANGO = "google.cloud.logging_v2.handlers.middleware.request"


class Task(NamedTuple):
    """What is known of the task that logs: bare trace id, span id, sampling, HttpRequest."""

    trace: str | None = None
    span_id: str | None = None
    sampled: bool = False
    http_request: Mapping[str, Any] | None = None


class Request(dict[str, Any]):
    """The HttpRequest of a task, with a place for its bytes: all its records have the same."""

    __slots__ = ("encoded",)

    def __init__(self, **fields: Any) -> None:
        """Begin with the fields alone."""
        super().__init__(fields)
        self.encoded = b""


NOTHING = Task()


class Context:
    """The sources of context that this process has imported."""

    def __init__(self) -> None:
        """Look once; `sources` looks again when modules were imported since."""
        self.modules_seen = -1
        """How many modules were imported when the sources were looked for."""
        self.has_sources = False
        self._sources: tuple[Callable[[], Task | None], ...] = ()

    def sources(self) -> tuple[Callable[[], Task | None], ...]:
        """Return the sources; empty, and at the cost of one comparison, for most applications."""
        if len(sys.modules) != self.modules_seen:
            self.modules_seen = len(sys.modules)
            known = (
                (_DJANGO, _from_django),
                ("flask", _from_flask),
                ("opentelemetry.trace", _from_opentelemetry),
            )
            self._sources = tuple(source for name, source in known if name in sys.modules)
            self.has_sources = bool(self._sources)
        return self._sources

    def current(self) -> Task:
        """Return what the sources say: a request's headers, overridden by a live span.

        Returns:
            `NOTHING` itself where none of them knows a task.
        """
        task = NOTHING
        for source in self.sources():
            try:
                found = source()
            except Exception:  # noqa: BLE001, S112 - foreign code, half-imported modules
                continue
            if found is not None:
                task = (
                    found if found.http_request else found._replace(http_request=task.http_request)
                )
        return task


def _from_opentelemetry() -> Task | None:
    span = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return Task(f"{span.trace_id:032x}", f"{span.span_id:016x}", bool(span.trace_flags.sampled))


def _from_flask() -> Task | None:
    flask = sys.modules["flask"]
    if not flask.has_request_context():
        return None
    request = flask.request
    return _from_headers(request.environ, lambda: request.url)


def _from_django() -> Task | None:
    request = sys.modules[_DJANGO]._get_django_request()  # noqa: SLF001 - what the stock handler reads
    if request is None:
        return None
    return _from_headers(request.META, request.build_absolute_uri)


def _from_headers(environ: dict[str, Any], url_of: Callable[[], str]) -> Task:
    """Read a WSGI environment; both frameworks have one. It keeps what was read."""
    path = environ.get("PATH_INFO")
    known = environ.get(_KEY)
    if known and known[0] == path:  # else a copy, passed on to another handler
        task: Task = known[1]
        return task
    try:
        url = url_of()
    except Exception:  # noqa: BLE001 - DisallowedHost
        url = None
    http_request = Request(
        requestMethod=environ.get("REQUEST_METHOD"),
        requestUrl=url,
        userAgent=environ.get("HTTP_USER_AGENT"),
        protocol=environ.get("SERVER_PROTOCOL"),
    )
    trace, span_id, sampled = parse_headers(
        environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_X_CLOUD_TRACE_CONTEXT")
    )
    task = Task(trace, span_id, sampled, http_request)
    environ[_KEY] = path, task
    return task


def parse_headers(traceparent: object, cloud_trace: object) -> tuple[str | None, str | None, bool]:
    """Return (trace id, span id, sampled) of a W3C or else an X-Cloud-Trace-Context header."""
    if isinstance(traceparent, str) and (match := _TRACEPARENT.match(traceparent)):
        return match[1], match[2], bool(int(match[3], 16) & 1)
    if isinstance(cloud_trace, str) and (match := _CLOUD_TRACE.match(cloud_trace)):
        span = int(match[2]) if match[2] and _SPAN.match(match[2]) else 0
        return match[1], f"{span:016x}" if 0 < span < 2**64 else None, match[3] == "1"
    return None, None, False
