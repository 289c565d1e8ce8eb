"""Repairs time, span, request, source and resource of an entry, for `LenientEncoder`. Pure.

Applications put anything into ``extra=``. What the API would refuse is repaired or left out here,
so that a wrong value never costs the record or its neighbours. Each repair returns what is left of
a value, and whether that is less than was given. Limits: Cloud Logging's quotas page.
"""

from __future__ import annotations

import logging
import operator
import re
from collections.abc import Mapping
from typing import Any

from forklog.encoding.labels import labels_of
from forklog.encoding.text import safe_text
from forklog.encoding.truncate import cut_bytes
from forklog.limits import MAX_RESOURCE_BYTES

MAX_TYPE_BYTES = 512
MAX_HTTP_BYTES = 8_192
MAX_SOURCE_BYTES = 4_096
MAX_TRACE_BYTES = 1_024

MAX_SPAN_BYTES = 1_024
_DURATION = re.compile(r"\d{1,12}(\.\d{1,9})?s\Z", re.ASCII)
_MAX_SECONDS = 315_576_000_000  # of a protobuf.Duration: 10,000 years
_INT64_MAX = 2**63
_INT32_MAX = 2**31
_HTTP_TEXT = (
    "requestMethod",
    "requestUrl",
    "userAgent",
    "remoteIp",
    "serverIp",
    "referer",
    "protocol",
)
_HTTP_SIZE = ("requestSize", "responseSize", "cacheFillBytes")
_HTTP_FLAG = ("cacheLookup", "cacheHit", "cacheValidatedWithOriginServer")


def trace_of(value: object) -> tuple[str | None, bool]:
    """Return a trace, which is any text, within its limit."""
    return _bounded(value, MAX_TRACE_BYTES) if isinstance(value, str) else (None, True)


def flag_of(value: object) -> tuple[bool, bool]:
    """Return whether a value is true; a hostile one raises."""
    return bool(value), False


def span_id_of(value: object) -> tuple[str | None, bool]:
    """Return a span id: any text, within its limit; a number as 16 hexadecimal digits."""
    if isinstance(value, str):
        return _bounded(value, MAX_SPAN_BYTES)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**64:
        return f"{value:016x}", False
    return None, True


def source_location_of(value: object) -> tuple[dict[str, str] | None, bool]:
    """Return a LogEntrySourceLocation of those keys that make sense."""
    if not isinstance(value, Mapping):
        return None, True
    given = {key: item for key, item in value.items() if item is not None}
    location: dict[str, str] = {}
    changed = False
    for key in ("file", "function"):
        if key in given:
            location[key], is_cut = _bounded(given[key], MAX_SOURCE_BYTES)
            changed = changed or is_cut
    line = _whole(given.get("line"))
    changed = changed or len(given) > len(location) + (line is not None)
    if line is not None:
        location["line"] = str(line)
    return location or None, changed


def location_of(record: logging.LogRecord) -> tuple[dict[str, str] | None, bool]:
    """Return where a record was made."""
    return source_location_of(
        {"file": record.pathname, "line": record.lineno, "function": record.funcName}
    )


def http_request_of(value: object) -> tuple[dict[str, Any] | None, bool]:
    """Return an HttpRequest with the keys that the API knows and values of their types."""
    if not isinstance(value, Mapping):
        return None, True
    given = {_camel(key): item for key, item in value.items() if item is not None}
    request: dict[str, Any] = {}
    is_cut = False
    for key in _HTTP_TEXT:
        if key in given:
            request[key], is_long = _bounded(given[key], MAX_HTTP_BYTES)
            is_cut = is_cut or is_long
    for key in _HTTP_SIZE:
        if (size := _whole(given.get(key))) is not None:
            request[key] = str(size)
    for key in _HTTP_FLAG:
        if isinstance(given.get(key), bool):
            request[key] = given[key]
    status = _whole(given.get("status"))
    if status is not None and -_INT32_MAX <= status < _INT32_MAX:
        request["status"] = status
    latency = _latency(given.get("latency"))
    if latency is not None:
        request["latency"] = latency
    return request, is_cut or len(request) < len(given)


def resource_of(value: object) -> tuple[dict[str, Any] | None, bool]:
    """Return a MonitoredResource from a mapping or from google.cloud.logging's Resource."""
    as_dict = getattr(value, "_to_dict", None)
    if callable(as_dict):
        value = as_dict()
    if not isinstance(value, Mapping):
        return None, True
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        return None, True
    name, is_cut = _bounded(kind, MAX_TYPE_BYTES)
    labels, is_changed = labels_of([value.get("labels")], (), MAX_RESOURCE_BYTES)
    return {"type": name, "labels": labels}, is_cut or is_changed


def _bounded(value: object, limit: int) -> tuple[str, bool]:
    text = safe_text(value)
    cut = cut_bytes(text, limit)
    return cut, cut is not text


def _camel(key: object) -> str:
    head, *rest = safe_text(key).split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        number = int(value) if isinstance(value, (str, float)) else operator.index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - no number, or one of the application that raises
        return None
    return number if -_INT64_MAX <= number < _INT64_MAX else None


def _latency(value: object) -> str | None:
    if isinstance(value, str):
        is_one = _DURATION.match(value) and float(value[:-1]) <= _MAX_SECONDS
        return value if is_one else None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**9:
        return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
    seconds = getattr(value, "total_seconds", None)
    return _latency(seconds()) if callable(seconds) else None
