"""Turns any Python value into JSON that the API accepts, for the encoders. Pure.

The common case is one look at the value and one call of orjson. Where that would refuse, or lose
something (NaN becomes null there), the value is rebuilt first. Cycles and depth are cut, and what
JSON has no word for is written as text. No more is copied than an entry can ever hold.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from forklog.encoding.text import safe_text, type_name
from forklog.limits import MAX_ENTRY_BYTES, MAX_NODES

# A protobuf parser refuses messages nested deeper than 100; each level of a Struct takes up to
# three of them.
MAX_DEPTH = 32
# Keys that are not text go the long way: 1 and "1" would become one name, given twice.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_INT64 = 2**63
_dumps = orjson.dumps
_SEQUENCES = frozenset((list, tuple))
_LEAVES = frozenset((str, int, float, bool, type(None), bytes, uuid.UUID, decimal.Decimal)) | {
    dt.datetime,
    dt.date,
    dt.time,
}


def to_json(value: object) -> bytes:
    """Encode a value as JSON. Never raises; what cannot be encoded is described instead."""
    encoded, rebuilt = encoded_or_copied(value)
    return encoded or _dumps(rebuilt)


def encoded_or_copied(value: object) -> tuple[bytes, Any]:
    """Return the value as JSON, or else no bytes and a copy of it that JSON has words for.

    The copy is bounded: of more than an entry can hold, it has a part and the number that is
    missing (`CutDict`).
    """
    try:
        encoded = encoded_if_plain(value)
    except Exception:  # noqa: BLE001 - a large number, a surrogate, a dict that changes meanwhile
        encoded = b""
    return encoded, None if encoded else _Copier().copy(value, 0, ())


def encoded_if_plain(value: object) -> bytes:
    """Return the value as JSON, no bytes where it has to be copied first; may raise anything."""
    return _dumps(value, default=_plain, option=_OPTIONS) if _is_plain(value) else b""


def _is_plain(value: object) -> bool:
    """Tell whether orjson may have it: common types, not too deep or large, every float finite."""
    level: list[Any] = [value]
    left = MAX_NODES
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for holder in level:
            is_dict = type(holder) is dict
            if not is_dict and type(holder) not in _SEQUENCES:
                return False
            left -= len(holder)
            if left < 0:
                return False
            for member in holder.values() if is_dict else holder:
                kind = type(member)
                if kind is str or kind is int:
                    continue
                if kind not in _LEAVES:
                    below.append(member)
                elif kind is float and member - member != 0.0:  # NaN and the infinities
                    return False
        if not below:
            return True
        level = below
    return False


def _plain(value: object) -> Any:
    """Give orjson what it cannot write itself in a form that it can."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes_text(bytes(value))
    as_list = getattr(value, "tolist", None)  # a numpy type that orjson does not know
    shape = getattr(value, "shape", None)
    if callable(as_list) and isinstance(shape, tuple):
        found = as_list()
        # Python has no long float, so one is its own list.
        if type(found) is not type(value) or getattr(found, "shape", None) != shape:
            return found
    return value.value if isinstance(value, enum.Enum) else safe_text(value)


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        head = value[:MAX_ENTRY_BYTES].decode("utf-8", "backslashreplace")
        # Of what is beyond, only the length counts: a text is cut far before it.
        return head + "?" * (len(value) - MAX_ENTRY_BYTES)


class CutDict(dict[str, Any]):
    """A copy of the first members of an object."""

    missing = 0


class CutList(list[Any]):
    """A copy of the first items of a list."""

    missing = 0


class _Copier:
    """One copying of a value; anything of the application may raise meanwhile."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def copy(self, value: Any, depth: int, seen: tuple[int, ...]) -> Any:
        """Copy a value into what JSON has."""
        self._left -= 1
        try:
            if value is None or isinstance(value, (bool, int, float, str)):
                return _scalar(value)
            if id(value) in seen:
                return "<cycle>"
            if depth >= MAX_DEPTH and isinstance(value, (Mapping, list, tuple, set, frozenset)):
                return f"<{type_name(value)} below {MAX_DEPTH} levels>"
            return self._opened(value, depth, (*seen, id(value)))
        except Exception as error:  # noqa: BLE001 - methods of the application
            return f"<{type_name(value)} that raised {type_name(error)}>"

    def _opened(self, value: Any, depth: int, seen: tuple[int, ...]) -> Any:
        if isinstance(value, Mapping):
            return self._members(dict(value), depth + 1, seen)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._items(value, len(value), depth + 1, seen)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value) if field.name[:1] != "_"]
            return self._again({name: getattr(value, name) for name in names}, depth, seen)
        size = getattr(value, "size", None)
        if isinstance(size, int) and size > self._left and isinstance(value.shape, tuple):
            return self._items(value, len(value), depth + 1, seen)  # a large array
        try:
            written = orjson.dumps(value, option=_OPTIONS)  # dates, UUIDs, enumerations, numpy
        except TypeError:
            written = b"null"
        plain = _plain(value) if b"null" in written else orjson.loads(written)
        return plain if isinstance(plain, str) else self._again(plain, depth, seen)

    def _again(self, value: Any, depth: int, seen: tuple[int, ...]) -> Any:
        """Copy what stands for a value that was counted already."""
        self._left += 1
        return self.copy(value, depth, seen)

    def _items(
        self, value: Iterable[Any], size: int, depth: int, seen: tuple[int, ...]
    ) -> list[Any]:
        copy = CutList()
        for item in value:
            if self._left <= 0:
                copy.missing = size - len(copy)
                break
            copy.append(self.copy(item, depth, seen))
        return copy

    def _members(self, value: dict[Any, Any], depth: int, seen: tuple[int, ...]) -> dict[str, Any]:
        """Copy a dict, what is small first; keys of one text get numbers."""
        copy = CutDict()
        later: list[tuple[str, Any]] = []
        for key, item in value.items():
            if self._left <= len(later):
                copy.missing = len(value) - len(copy)
                break
            name = safe_text(key)
            while name in copy:
                name = f"{name} ({len(copy)})"
            if type(item) in _LEAVES:
                copy[name] = self.copy(item, depth, seen)
            else:
                copy[name] = None  # its place
                later.append((name, item))
        for name, item in sorted(later, key=_length_of_item):
            copy[name] = self.copy(item, depth, seen)
        return copy


def _length_of_item(member: tuple[str, Any]) -> int:
    try:
        return len(member[1])
    except Exception:  # noqa: BLE001 - has none, or raises
        return 0


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
