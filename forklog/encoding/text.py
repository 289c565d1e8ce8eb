"""Turns what an application gives into valid Unicode text, even if its ``__str__`` raises. Pure."""

from __future__ import annotations

import re
from typing import Any

_MAX_REPR = 10_000
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def safe_text(value: object) -> str:
    """Return ``str(value)`` as valid Unicode, or a description if that raises."""
    try:
        text = str.__str__(value if isinstance(value, str) else str(value))
    except Exception as error:  # noqa: BLE001 - __str__ of the application
        return f"<{type_name(value)} whose str() raised {type_name(error)}>"
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; show it the way Python writes it. Two may be a character.
        text = _PAIR.sub(_joined, text)
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def safe_repr(value: object) -> str:
    """Return ``repr(value)``, cut to 10,000 characters, or a description if that raises."""
    try:
        text = safe_text(repr(value))
    except Exception as error:  # noqa: BLE001 - __repr__ of the application
        return f"<{type_name(value)} whose repr() raised {type_name(error)}>"
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}... ({len(text)} characters)"


def attribute_of(record: object, name: str, otherwise: Any = None) -> Any:
    """Return an attribute of a record; the default if it has none, or a property that raises."""
    try:
        return getattr(record, name, otherwise)
    except Exception:  # noqa: BLE001 - a record class of the application
        return otherwise


def type_name(value: object) -> str:
    """Return the name of a value's type, whatever its metaclass does."""
    return safe_text(type.__getattribute__(type(value), "__name__"))
