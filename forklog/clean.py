"""Step 3, beside the encoder: any Python value to JSON bytes that the API accepts. Pure.

The common case is one call of orjson. Where that refuses, or would lose something (NaN becomes
null there), the value is rebuilt first: cycles and depth are cut, and what JSON has no word for is
written as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

__all__ = ["MAX_DEPTH", "safe_repr", "safe_text", "to_json"]

# A protobuf parser refuses messages nested deeper than 100; each level of a Struct takes up to
# three of them.
MAX_DEPTH = 32
_MAX_REPR = 10_000
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
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
        text = value if type(value) is str else str(value)
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; show it the way Python writes it.
        return text.encode("utf-8", "backslashreplace").decode()
    except Exception as error:  # noqa: BLE001 - __str__ of the application
        return f"<{_type_name(value)} whose str() raised {_type_name(error)}>"
    return str.__str__(text)


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
    item = getattr(value, "item", None)  # a numpy scalar that orjson does not know
    if callable(item) and getattr(value, "shape", None) == ():
        return item()
    return safe_text(value)


def _rebuild(value: Any, depth: int, seen: tuple[int, ...]) -> Any:  # noqa: PLR0911 - a table
    if value is None or isinstance(value, (str, bool)):
        return safe_text(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)):
        return _number(value)
    if id(value) in seen:
        return "<cycle>"
    try:
        if isinstance(value, (Mapping, list, tuple, set, frozenset)):
            if depth >= MAX_DEPTH:
                return f"<{_type_name(value)} below {MAX_DEPTH} levels>"
            return _container(value, depth + 1, (*seen, id(value)))
        return _leaf(value, depth, (*seen, id(value)))
    except Exception as error:  # noqa: BLE001 - methods of the application
        return f"<{_type_name(value)} that raised {_type_name(error)}>"


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _float_word(value)
    return int(value) if -_INT64 <= value < 2 * _INT64 else _big(value)


def _float_word(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _big(value: int) -> str:
    try:
        return int.__str__(value)
    except ValueError:  # above sys.get_int_max_str_digits
        return hex(value)


def _container(value: Mapping[Any, Any] | Iterable[Any], depth: int, seen: tuple[int, ...]) -> Any:
    if isinstance(value, Mapping):
        return {safe_text(k): _rebuild(v, depth, seen) for k, v in dict(value).items()}
    return [_rebuild(item, depth, seen) for item in value]


def _leaf(value: object, depth: int, seen: tuple[int, ...]) -> Any:
    """Let orjson write what it knows (dates, UUIDs, dataclasses, numpy); the rest becomes text."""
    try:
        written = orjson.loads(orjson.dumps(value, option=_OPTIONS))
    except Exception:  # noqa: BLE001 - not one of its types, or something inside is not
        plain = _plain(value)
        return plain if isinstance(plain, str) else _rebuild(plain, depth, seen)
    return written
