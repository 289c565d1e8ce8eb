"""Trace and request of a WSGI environment, by its headers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from forklog.context.base import LogContext, RequestFields

_TRACEPARENT = re.compile(
    r"\s?(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?\s?\Z"
)
_CLOUD_TRACE = re.compile(r"([\w-]+)(?:/([\w-]+))?(?:;o=(\d))?")
_SPAN = re.compile(r"\d{1,20}\Z", re.ASCII)
# A request's environment is the place that lives as long as the request.
_ENVIRON_KEY = "forklog.context"


def context_of_environ(environ: dict[str, Any], url_of: Callable[[], str]) -> LogContext:
    """Read a WSGI environment; both frameworks have one. It keeps what was read."""
    path = environ.get("PATH_INFO")
    known = environ.get(_ENVIRON_KEY)
    if known and known[0] == path:  # else a copy, passed on to another handler
        task: LogContext = known[1]
        return task
    try:
        url = url_of()
    except Exception:  # noqa: BLE001 - DisallowedHost
        url = None
    http_request = RequestFields(
        requestMethod=environ.get("REQUEST_METHOD"),
        requestUrl=url,
        userAgent=environ.get("HTTP_USER_AGENT"),
        protocol=environ.get("SERVER_PROTOCOL"),
    )
    trace, span_id, sampled = parse_headers(
        environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_X_CLOUD_TRACE_CONTEXT")
    )
    task = LogContext(trace, span_id, sampled, http_request)
    environ[_ENVIRON_KEY] = path, task
    return task


def parse_headers(traceparent: object, cloud_trace: object) -> tuple[str | None, str | None, bool]:
    """Return (trace id, span id, sampled) of a W3C or else an X-Cloud-Trace-Context header."""
    if isinstance(traceparent, str) and (match := _TRACEPARENT.match(traceparent)):
        return match[1], match[2], bool(int(match[3], 16) & 1)
    if isinstance(cloud_trace, str) and (match := _CLOUD_TRACE.match(cloud_trace)):
        span = int(match[2]) if match[2] and _SPAN.match(match[2]) else 0
        return match[1], f"{span:016x}" if 0 < span < 2**64 else None, match[3] == "1"
    return None, None, False
