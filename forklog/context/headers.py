"""Reads the trace of a request from its headers, W3C, Google's or B3, for sources and middlewares.

Any client can set headers, so this is strict: what is malformed is nothing, and the next header
counts. A job of RQ carries such a header too.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from forklog.context.base import LogContext, RequestFields

# W3C Trace Context: version 00 has these four fields, a later one may have more, ff is none.
_TRACEPARENT = re.compile(
    r"\s?(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?\s?\Z"
)
# Google's documentation of Cloud Trace: TRACE_ID/SPAN_ID;o=OPTIONS, the trace in 32 digits.
_CLOUD_TRACE = re.compile(r"\s?(?!0{32})([0-9a-fA-F]{32})(?:/([\w-]+))?(?:;o=(\d))?\s?\Z", re.ASCII)
_SPAN = re.compile(r"0*\d{1,20}\Z", re.ASCII)
# https://github.com/openzipkin/b3-propagation: 16 or 32 digits of a trace, 16 of a span. The state
# of sampling, d for debug, stands alone where a trace is to be begun.
_B3 = re.compile(
    r"\s?(?!0+-)([0-9a-fA-F]{16}(?:[0-9a-fA-F]{16})?)-(?!0{16})([0-9a-fA-F]{16})"
    r"(?:-([01d])(?:-[0-9a-fA-F]{16})?)?\s?\Z"
)
# A request's environment is the place that lives as long as the request.
_ENVIRON_KEY = "forklog.context"
JOB_KEY = "forklog_trace"
"""In the meta data of a job."""

_Trace = tuple[str | None, str | None, bool]
_NO_TRACE: _Trace = (None, None, False)


class Headers(NamedTuple):
    """The values of the headers that may name a trace; what is no text is ignored."""

    traceparent: object = None
    cloud_trace: object = None
    b3: object = None
    b3_trace: object = None
    b3_span: object = None
    b3_sampled: object = None
    b3_flags: object = None


TRACE_HEADERS = (
    "traceparent",
    "x-cloud-trace-context",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
)
"""Their names, in the order of `Headers`."""
_ENVIRON_NAMES = tuple("HTTP_" + name.upper().replace("-", "_") for name in TRACE_HEADERS)


def trace_of_environ(environ: dict[str, Any]) -> _Trace:
    """Return (trace id, span id, sampled) of a WSGI environment."""
    return trace_of(Headers(*map(environ.get, _ENVIRON_NAMES)))


def trace_of(headers: Headers) -> _Trace:
    """Return (trace id, span id, sampled) of the first header that is well-formed."""
    found = parse_headers(headers.traceparent, headers.cloud_trace)
    return parse_b3(headers) if found == _NO_TRACE else found


def parse_headers(traceparent: object, cloud_trace: object) -> _Trace:
    """Return (trace id, span id, sampled) of a W3C or else an X-Cloud-Trace-Context header."""
    match = _TRACEPARENT.match(traceparent) if isinstance(traceparent, str) else None
    if match and not (match["version"] == "00" and match["more"]):
        return match["trace"], match["span"], bool(int(match["flags"], 16) & 1)
    if isinstance(cloud_trace, str) and (match := _CLOUD_TRACE.match(cloud_trace)):
        span = int(match[2]) if match[2] and _SPAN.match(match[2]) else 0
        return match[1].lower(), f"{span:016x}" if 0 < span < 2**64 else None, match[3] == "1"
    return _NO_TRACE


def parse_b3(headers: Headers) -> _Trace:
    """Return (trace id, span id, sampled) of a single B3 header, or else of several.

    A trace id of 16 digits is filled up with zeros, as OpenTelemetry does.
    """
    single = headers.b3
    if not isinstance(single, str):
        trace, span = headers.b3_trace, headers.b3_span
        if not (isinstance(trace, str) and isinstance(span, str)):
            return _NO_TRACE
        single = f"{trace.strip()}-{span.strip()}"
    match = _B3.match(single)
    if not match:
        return _NO_TRACE
    is_sampled = headers.b3_sampled in ("1", "true") or headers.b3_flags == "1"
    sampled = match[3] in ("1", "d") if isinstance(headers.b3, str) else is_sampled
    return match[1].lower().zfill(32), match[2].lower(), sampled


def carried(context: LogContext) -> str | None:
    """Return a trace as X-Cloud-Trace-Context has it, which unlike W3C's may lack a span."""
    try:
        span = f"/{int(context.span_id, 16)}" if context.span_id else ""
    except ValueError:
        span = ""
    header = f"{context.trace}{span};o={context.sampled:d}"
    return header if _CLOUD_TRACE.match(header) else None


def context_of_environ(environ: dict[str, Any], url_of: Callable[[], str]) -> LogContext:
    """Read a WSGI environment; both frameworks have one. It keeps what was read.

    While it names no trace, it is looked at again: an application may put a header in.
    """
    path = environ.get("PATH_INFO")
    known = environ.get(_ENVIRON_KEY)
    if known and known[0] == path:  # else a copy, passed on to another handler
        log_context: LogContext = known[1]
        if log_context.trace or not any(map(environ.get, _ENVIRON_NAMES)):
            return log_context
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
    trace, span_id, sampled = trace_of_environ(environ)
    log_context = LogContext(trace, span_id, sampled, http_request)
    environ[_ENVIRON_KEY] = path, log_context
    return log_context


def context_of_job(job: Any) -> LogContext:
    """Return what is known of a job: the trace it carries, its id and name as labels."""
    meta = job.meta if isinstance(job.meta, dict) else {}
    trace, span_id, sampled = parse_headers(None, meta.get(JOB_KEY))
    labels = {"rq_job_id": str(job.id)}
    with contextlib.suppress(Exception):  # what cannot be read back is the worker's to report
        labels["rq_job_name"] = str(job.func_name)
    return LogContext(trace or trace_of_id(job.id), span_id, sampled, labels=labels)


def trace_of_id(number: object) -> str | None:
    """Return the trace of a task that came without one: its id, so that retries share it."""
    try:
        return uuid.UUID(str(number)).hex
    except ValueError:
        return None
