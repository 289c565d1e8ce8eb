"""Makes of a record the payload of its entry, text or JSON object, for the handlers.

The rules are the stock handler's.

A mapping as message is the JSON payload; a message that reads as a JSON object becomes one;
``extra={"json_fields": ...}`` adds fields, with the message under ``message``; the text ``None``
is no payload at all. Exception and stack texts are part of the message, as formatters have it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from forklog.encoding.text import attribute_of, safe_repr, safe_text
from forklog.encoding.truncate import cut_bytes

_MAX_PLACE = 1_000  # bytes of a file's or function's name
_PLACE = ("name", "levelno", "pathname", "lineno", "funcName", "created")


_NO_FIELDS: Mapping[str, Any] = {}


class WithheldError(Exception):
    """The application's formatter raised, so that the text is not to be sent; why is `cause`."""

    def __init__(self, cause: Exception) -> None:
        """Keep what was raised."""
        super().__init__(cause)
        self.cause = self.forklog_formatted = cause


def payload_of(
    record: logging.LogRecord,
    format_record: Callable[[logging.LogRecord], str],
    bound: Mapping[str, Any] = _NO_FIELDS,
    extra: Mapping[str, Any] = _NO_FIELDS,
) -> str | dict[str, Any] | None:
    """Return the record's payload: text, a JSON object, or nothing.

    Args:
        record: the record; its ``json_fields`` win over all other fields.
        format_record: the handler's ``format``.
        bound: fields of the work that logs; a mapping as message wins over them.
        extra: unknown names of ``extra=``; they win over a mapping as message.

    Raises:
        WithheldError: from ``format_record``; nothing else is raised.
    """
    fields = _mapping(attribute_of(record, "json_fields"))
    mapping = _mapping(attribute_of(record, "msg"))
    if mapping is not None:
        return {**bound, **mapping, **extra, **(fields or {})}
    fields = {**bound, **extra, **(fields or {})}
    text = _formatted(record, format_record)
    parsed = _parsed(text)
    message = text if parsed is None else parsed
    if fields:
        return {**fields, "message": message} if text != "None" else fields
    return message if text != "None" else None


def withheld(record: logging.LogRecord, stage: str, error: Exception) -> str | dict[str, Any]:
    """Return the payload in place of a text that could not be formatted, and must not be sent.

    It names the place of the log call and the type of the error, whose text may hold the content.

    Args:
        record: the record; its ``json_fields`` are kept.
        stage: what failed, such as ``formatter``.
        error: what it raised.
    """
    file, line, function = (
        cut_bytes(safe_text(attribute_of(record, name)), _MAX_PLACE)
        for name in ("pathname", "lineno", "funcName")
    )
    text = f"forklog: the {stage} raised {safe_text(type(error).__name__)}, so the text of this "
    text += f"record is withheld; it was logged at {file}:{line} in {function}"
    fields = _mapping(attribute_of(record, "json_fields"))
    return {**fields, "message": text} if fields else text


def bare(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record of the same logger, severity, time and place, without content or extras."""
    copy = logging.LogRecord("", 0, "", 0, "", None, None)
    copy.__dict__.update({name: attribute_of(record, name) for name in _PLACE})
    return copy


def is_left_out(record: logging.LogRecord) -> bool:
    """Tell whether the ``json_fields`` of a record are no mapping, so that none arrives."""
    fields = attribute_of(record, "json_fields")
    return _is_given(fields) and _mapping(fields) is None


def _mapping(value: object) -> dict[str, Any] | None:
    try:
        return dict(value) if isinstance(value, Mapping) else None
    except Exception:  # noqa: BLE001 - a mapping of the application
        return None


def _formatted(record: logging.LogRecord, format_record: Callable[[logging.LogRecord], str]) -> str:
    try:
        return safe_text(format_record(record))
    except WithheldError:
        raise
    except Exception:  # noqa: BLE001 - wrong % arguments, a broken formatter, a raising __str__
        return _described(record)


def _described(record: logging.LogRecord) -> str:
    """Return as much text as a record that cannot be formatted has."""
    parts = [_message_of(record)]
    exc_info, stack = attribute_of(record, "exc_info"), attribute_of(record, "stack_info")
    if _is_given(exc_info):
        parts.append(_exception_of(exc_info))
    if _is_given(stack):
        parts.append(safe_text(stack))
    return "\n".join(parts)


def _message_of(record: logging.LogRecord) -> str:
    # Not record.getMessage(), which a key of extra= may hide.
    for kind in (type(record), logging.LogRecord):
        text = _made(kind, record)
        if text is not None:
            return text
    text, args = safe_text(attribute_of(record, "msg")), attribute_of(record, "args")
    if not _is_given(args):
        return text
    if type(args) is not tuple:
        return f"{text} {safe_repr(args)}"
    try:
        return text % tuple(map(_sayable, args))
    except Exception:  # noqa: BLE001 - too few, too many, or of the wrong types
        return f"{text} ({', '.join(map(safe_repr, args))}{',' * (len(args) == 1)})"


def _sayable(value: object) -> object:
    return value if isinstance(value, (int, float)) else safe_text(value)


def _made(kind: type[logging.LogRecord], record: logging.LogRecord) -> str | None:
    try:
        return safe_text(kind.getMessage(record))
    except Exception:  # noqa: BLE001 - wrong % arguments, a raising __str__
        return None


def _is_given(value: object) -> bool:
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - __bool__ or __len__ of the application
        return True


def _exception_of(exc_info: Any) -> str:
    try:
        return safe_text(logging.Formatter().formatException(exc_info))
    except Exception:  # noqa: BLE001 - not what sys.exc_info returns
        return safe_repr(exc_info)


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
