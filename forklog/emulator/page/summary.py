"""Takes an entry from `live`, gives the fields of its line in the page's list. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forklog.emulator.api.reader import Arrived

MAX_TEXT: Final = 1000
_MAX_NAME: Final = 200
_MESSAGES: Final = ("message", "msg", "textPayload")


def summary(arrived: Arrived) -> list[Any]:
    """Return the fields of a line, in the order that the page knows them.

    They are position, milliseconds since 1970, severity, log, process, trace, insertId, copies,
    text, and the request. That is None, or a list of method, URL, status and latency.
    """
    row, entry = arrived
    return [
        row.position,
        row.timestamp / 1_000_000,
        row.severity,
        entry["logName"],
        _process(entry.get("labels", {})),
        entry.get("trace", "")[:_MAX_NAME],
        row.insert_id,
        row.copies,
        _text(entry),
        _request(entry),
    ]


def _process(labels: Mapping[str, str]) -> str:
    """Return which process wrote it, by the labels of the option `process_labels`; "" if none."""
    number = labels.get("process_id", "")
    if not number:
        return ""
    name, worker = labels.get("process_name", ""), labels.get("uwsgi_worker_id", "")
    shown = [f"{labels['host']}/{number}" if labels.get("host") else number]
    shown += [name] if name not in ("", "MainProcess") else []
    shown += [f"worker {worker}"] if worker else []
    return " ".join(shown)[:_MAX_NAME]


def _text(entry: Mapping[str, Any]) -> str:
    payload = entry.get("jsonPayload")
    if payload is None:
        payload = entry.get("protoPayload", entry.get("textPayload", ""))
    if isinstance(payload, dict):
        messages = (payload.get(name) for name in _MESSAGES)
        message = next((text for text in messages if isinstance(text, str) and text), None)
        payload = message or (orjson.dumps(payload).decode() if payload else "")
    return str(payload)[:MAX_TEXT]


def _request(entry: Mapping[str, Any]) -> list[Any] | None:
    request = entry.get("httpRequest")
    if not request:
        return None
    method, url = request.get("requestMethod", ""), request.get("requestUrl", "")
    return [method, url[:MAX_TEXT], request.get("status", 0), request.get("latency", "")]
