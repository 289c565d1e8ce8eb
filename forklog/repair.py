"""Step 3, the other fields of an entry: labels, trace, request, source, resource; repaired. Pure.

Applications put anything into ``extra=``. What the API would refuse is mended or left out here, so
that a wrong label never costs the record or its neighbours. Limits: Cloud Logging's quotas page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from forklog.clean import safe_text

__all__ = ["http_request_of", "labels_of", "resource_of", "source_location_of", "span_id_of"]

MAX_LABELS = 64
MAX_KEY_BYTES = 512
MAX_VALUE_BYTES = 64 * 1024
CUT = "...(cut)"

_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}\Z")
_DURATION = re.compile(r"\d{1,12}(\.\d{1,9})?s\Z")
_INT64_MAX = 2**63
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
_INT32_MAX = 2**31


def cut_bytes(text: str, limit: int) -> str:
    """Cut a text to at most ``limit`` UTF-8 bytes, marked as cut."""
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(CUT)].decode("utf-8", "ignore") + CUT


def labels_of(value: object, room: int) -> tuple[dict[str, str], bool]:
    """Return valid labels, at most ``room`` of them, and whether anything had to be changed."""
    if not isinstance(value, Mapping):
        return {}, bool(value)
    labels: dict[str, str] = {}
    changed = False
    try:
        items = list(value.items())
    except Exception:  # noqa: BLE001 - a mapping of the application
        return {}, True
    for key, item in items:
        if len(labels) >= room:
            return labels, True
        name, text = safe_text(key), safe_text(item)
        cut_name, cut_text = cut_bytes(name, MAX_KEY_BYTES), cut_bytes(text, MAX_VALUE_BYTES)
        changed = changed or cut_name != name or cut_text != text
        labels[cut_name] = cut_text
    return labels, changed


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
        key: safe_text(value.get(key)) for key in ("file", "function") if value.get(key) is not None
    }
    line = _whole(value.get("line"))
    return {**location, "line": str(line or 0)} if location or line is not None else None


def http_request_of(value: object) -> dict[str, Any] | None:
    """Return an HttpRequest with the keys that the API knows and values of their types."""
    if not isinstance(value, Mapping):
        return None
    given = {_camel(key): item for key, item in value.items() if item is not None}
    request: dict[str, Any] = {k: safe_text(given[k]) for k in _HTTP_TEXT if k in given}
    for key in _HTTP_SIZE:
        if (size := _whole(given.get(key))) is not None:
            request[key] = str(size)
    for key in _HTTP_FLAG:
        if isinstance(given.get(key), bool):
            request[key] = given[key]
    status = _whole(given.get("status"))
    if status is not None and status < _INT32_MAX:
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
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return None
    labels, _ = labels_of(value.get("labels") or {}, MAX_LABELS)
    return {"type": safe_text(value["type"]), "labels": labels}


def _camel(key: object) -> str:
    head, *rest = safe_text(key).split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -_INT64_MAX <= number < _INT64_MAX else None


def _latency(value: object) -> str | None:
    if isinstance(value, str):
        return value if _DURATION.match(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**9:
        return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
    seconds = getattr(value, "total_seconds", None)
    return _latency(seconds()) if callable(seconds) else None
