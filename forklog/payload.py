"""Step 3, the payload: which text or JSON object a record stands for, by the stock handler's rules.

A mapping as message is the JSON payload; a message that reads as a JSON object becomes one;
``extra={"json_fields": ...}`` adds fields, with the message under ``message``; the text ``None``
is no payload at all. Exception and stack texts are part of the message, as formatters have it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from forklog.clean import safe_repr, safe_text

__all__ = ["payload_of"]


def payload_of(
    record: logging.LogRecord, format_record: Callable[[logging.LogRecord], str]
) -> str | dict[str, Any] | None:
    """Return the record's payload: text, a JSON object, or nothing. Never raises."""
    fields = _mapping(getattr(record, "json_fields", None))
    if isinstance(record.msg, Mapping):
        message = _mapping(record.msg)
        if message is not None:
            return {**message, **(fields or {})}
    text = _formatted(record, format_record)
    parsed = _parsed(text)
    if fields:
        return {**fields, "message": parsed or text} if text != "None" else fields
    return parsed or (text if text != "None" else None)


def _mapping(value: object) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    try:
        return dict(value)
    except Exception:  # noqa: BLE001 - a mapping of the application
        return None


def _formatted(record: logging.LogRecord, format_record: Callable[[logging.LogRecord], str]) -> str:
    try:
        return safe_text(format_record(record))
    except Exception:  # noqa: BLE001 - wrong % arguments, a broken formatter, a raising __str__
        return _described(record)


def _described(record: logging.LogRecord) -> str:
    """Say as much as can be said of a record that cannot be formatted."""
    text = safe_text(record.msg)
    if record.args:
        text = f"{text} {safe_repr(record.args)}"
    if record.exc_info and isinstance(record.exc_info, tuple):
        try:
            text = f"{text}\n{safe_text(logging.Formatter().formatException(record.exc_info))}"
        except Exception:  # noqa: BLE001 - not what sys.exc_info returns
            text = f"{text}\n{safe_repr(record.exc_info)}"
    return text


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None
