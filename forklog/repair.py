"""Step 3, the other fields of an entry: time, span, request, source, resource; repaired. Pure.

Applications put anything into ``extra=``. What the API would refuse is mended or left out here, so
that a wrong value never costs the record or its neighbours. Limits: Cloud Logging's quotas page.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from forklog.clean import safe_text
from forklog.labels import labels_of
from forklog.limits import cut_bytes, fit_object

__all__ = [
    "http_request_of",
    "location_of",
    "resource_of",
    "source_location_of",
    "span_id_of",
    "timestamp_of",
]

# With the limit of the labels, these leave a fourth of the entry to the payload.
MAX_RESOURCE_BYTES = 16_000
MAX_TYPE_BYTES = 512
MAX_HTTP_BYTES = 8_192
MAX_SOURCE_BYTES = 4_096
DAY_SECONDS = 86_400

_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}\Z")
_DURATION = re.compile(r"\d{1,12}(\.\d{1,9})?s\Z", re.ASCII)
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


def timestamp_of(created: object, now: float) -> tuple[bytes, bool]:
    """Return the time as RFC 3339 with nanoseconds, and whether it had to be changed.

    The API refuses what is more than 24 h ahead, and forgets at once what is very old.
    """
    is_sane = isinstance(created, (int, float)) and 0 <= created < now + DAY_SECONDS  # NaN is not
    seconds: Any = created if is_sane else now
    whole = int(seconds)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{int((seconds - whole) * 1e9):09d}Z".encode(), not is_sane


def span_id_of(value: object) -> str | None:
    """Return a span id of 16 hexadecimal digits; a number is written as such; else None."""
    if isinstance(value, str) and _SPAN_ID.match(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**64:
        return f"{value:016x}"
    return None


def source_location_of(value: object) -> dict[str, str] | None:
    """Return a LogEntrySourceLocation of those keys that make sense."""
    if not isinstance(value, Mapping):
        return None
    location = {
        key: cut_bytes(safe_text(value.get(key)), MAX_SOURCE_BYTES)
        for key in ("file", "function")
        if value.get(key) is not None
    }
    line = _whole(value.get("line"))
    return {**location, "line": str(line or 0)} if location or line is not None else None


def location_of(record: logging.LogRecord) -> dict[str, str] | None:
    """Return where a record was made."""
    return source_location_of(
        {"file": record.pathname, "line": record.lineno, "function": record.funcName}
    )


def http_request_of(value: object) -> dict[str, Any] | None:
    """Return an HttpRequest with the keys that the API knows and values of their types."""
    if not isinstance(value, Mapping):
        return None
    given = {_camel(key): item for key, item in value.items() if item is not None}
    request: dict[str, Any] = {
        k: cut_bytes(safe_text(given[k]), MAX_HTTP_BYTES) for k in _HTTP_TEXT if k in given
    }
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
    return request


def resource_of(value: object) -> dict[str, Any] | None:
    """Return a MonitoredResource from a mapping or from google.cloud.logging's Resource."""
    as_dict = getattr(value, "_to_dict", None)
    if callable(as_dict):
        value = as_dict()
    if not isinstance(value, Mapping):
        return None
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        return None
    labels, _ = labels_of([value.get("labels")], ())
    return {
        "type": cut_bytes(safe_text(kind), MAX_TYPE_BYTES),
        "labels": fit_object(labels, MAX_RESOURCE_BYTES),
    }


def _camel(key: object) -> str:
    head, *rest = safe_text(key).split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if -_INT64_MAX <= number < _INT64_MAX else None


def _latency(value: object) -> str | None:
    if isinstance(value, str):
        return value if _DURATION.match(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**9:
        return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
    seconds = getattr(value, "total_seconds", None)
    return _latency(seconds()) if callable(seconds) else None
