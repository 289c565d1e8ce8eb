"""Step 3, beside the encoder: any Python value to JSON bytes that the API accepts. Pure.

The common case is one call of orjson. Where that refuses, or would lose something (NaN becomes
null there), the value is rebuilt first: cycles and depth are cut, and what JSON has no word for is
written as text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import orjson

__all__ = ["MAX_DEPTH", "safe_repr", "safe_text", "to_json"]

# A protobuf parser refuses messages nested deeper than 100; each level of a Struct takes up to
# three of them.
MAX_DEPTH = 32
_MAX_REPR = 10_000
# Keys that are not text go the long way: 1 and "1" would become one name, given twice.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_INT64 = 2**63


def to_json(value: object) -> bytes:
    """Encode a value as JSON. Never raises; what cannot be encoded is described instead."""
    try:
        encoded = orjson.dumps(value, default=_plain, option=_OPTIONS)
    except Exception:  # noqa: BLE001 - RecursionError of a cycle, a hostile mapping, a surrogate
        return orjson.dumps(_rebuild(value, 0, ()))
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH or b"null" in encoded:
        return orjson.dumps(_rebuild(value, 0, ()))
    return encoded


def safe_text(value: object) -> str:
    """Return ``str(value)`` as valid Unicode, or a description if that raises."""
    try:
        text = str.__str__(value if isinstance(value, str) else str(value))
    except Exception as error:  # noqa: BLE001 - __str__ of the application
        return f"<{_type_name(value)} whose str() raised {_type_name(error)}>"
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; show it the way Python writes it.
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def safe_repr(value: object) -> str:
    """Return ``repr(value)``, cut to 10,000 characters, or a description if that raises."""
    try:
        text = safe_text(repr(value))
    except Exception as error:  # noqa: BLE001 - __repr__ of the application
        return f"<{_type_name(value)} whose repr() raised {_type_name(error)}>"
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}... ({len(text)} characters)"


def _type_name(value: object) -> str:
    return safe_text(type.__getattribute__(type(value), "__name__"))


def _plain(value: object) -> Any:
    """Give orjson what it cannot write itself in a form that it can."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    as_list = getattr(value, "tolist", None)  # a numpy type that orjson does not know
    if callable(as_list) and isinstance(getattr(value, "shape", None), tuple):
        return as_list()
    return safe_text(value)


def _rebuild(value: Any, depth: int, seen: tuple[int, ...]) -> Any:
    """Copy a value into what JSON has; anything of the application may raise meanwhile."""
    try:
        if value is None or isinstance(value, (bool, int, float, str)):
            return _scalar(value)
        if id(value) in seen:
            return "<cycle>"
        if depth >= MAX_DEPTH and isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return f"<{_type_name(value)} below {MAX_DEPTH} levels>"
        return _opened(value, depth, (*seen, id(value)))
    except Exception as error:  # noqa: BLE001 - methods of the application
        return f"<{_type_name(value)} that raised {_type_name(error)}>"


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else _float_word(number)
    if value is None or isinstance(value, bool):
        return value
    whole = int.__int__(value)
    return whole if -_INT64 <= whole < 2 * _INT64 else _big(whole)


def _float_word(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _big(value: int) -> str:
    try:
        return int.__str__(value)
    except ValueError:  # above sys.get_int_max_str_digits
        return hex(value)


def _opened(value: Any, depth: int, seen: tuple[int, ...]) -> Any:
    if isinstance(value, Mapping):
        return _named(dict(value), depth + 1, seen)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_rebuild(item, depth + 1, seen) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name[:1] != "_"]
        return _rebuild({name: getattr(value, name) for name in names}, depth, seen)
    try:
        written = orjson.dumps(value, option=_OPTIONS)  # dates, UUIDs, enumerations, numpy
    except TypeError:
        written = b"null"
    plain = _plain(value) if b"null" in written else orjson.loads(written)
    return plain if isinstance(plain, str) else _rebuild(plain, depth, seen)


def _named(value: dict[Any, Any], depth: int, seen: tuple[int, ...]) -> dict[str, Any]:
    """Copy a dict; keys that read the same as text are told apart by numbers."""
    copy: dict[str, Any] = {}
    for key, item in value.items():
        name = safe_text(key)
        while name in copy:
            name = f"{name} ({len(copy)})"
        copy[name] = _rebuild(item, depth, seen)
    return copy
