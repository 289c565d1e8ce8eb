"""Trace and request of a WSGI environment, by its headers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from forklog.context.base import LogContext, RequestFields

# W3C Trace Context: version 00 has these four fields, a later one may have more, ff is none.
_TRACEPARENT = re.compile(
    r"\s?(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?\s?\Z"
)
# Google's documentation of Cloud Trace: TRACE_ID/SPAN_ID;o=OPTIONS, the trace in 32 digits.
_CLOUD_TRACE = re.compile(r"\s?(?!0{32})([0-9a-fA-F]{32})(?:/([\w-]+))?(?:;o=(\d))?\s?\Z", re.ASCII)
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
    match = _TRACEPARENT.match(traceparent) if isinstance(traceparent, str) else None
    if match and not (match["version"] == "00" and match["more"]):
        return match["trace"], match["span"], bool(int(match["flags"], 16) & 1)
    if isinstance(cloud_trace, str) and (match := _CLOUD_TRACE.match(cloud_trace)):
        span = int(match[2]) if match[2] and _SPAN.match(match[2]) else 0
        return match[1], f"{span:016x}" if 0 < span < 2**64 else None, match[3] == "1"
    return None, None, False
