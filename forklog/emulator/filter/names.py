"""Finds for `match` the values of an entry to which a name in a filter refers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.values import strings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class _Missing:
    """The value of a payload field or label that an entry does not have."""

    __slots__ = ()


MISSING: Final = _Missing()

# Fields whose inside is free; the others are messages with the zero values given here, None for a
# map inside of one.
_FREE: Final = (
    "jsonPayload",
    "protoPayload",
    "labels",
    "metadata",
    "errorGroups",
    "apphub",
    "apphubDestination",
    "apphubSource",
    "otel",
)
_ZEROS: Final[Mapping[str, object]] = {
    "logName": "",
    "timestamp": "",
    "receiveTimestamp": "",
    "severity": 0,
    "insertId": "",
    "textPayload": "",
    "trace": "",
    "spanId": "",
    "traceSampled": False,
    "resource": {"type": "", "labels": None},
    "httpRequest": {
        "requestMethod": "",
        "requestUrl": "",
        "requestSize": 0,
        "status": 0,
        "responseSize": 0,
        "userAgent": "",
        "remoteIp": "",
        "serverIp": "",
        "referer": "",
        "latency": "",
        "cacheLookup": False,
        "cacheHit": False,
        "cacheValidatedWithOriginServer": False,
        "cacheFillBytes": 0,
        "protocol": "",
    },
    "operation": {"id": "", "producer": "", "first": False, "last": False},
    "sourceLocation": {"file": "", "line": 0, "function": ""},
    "split": {"uid": "", "index": 0, "totalSplits": 0},
}
_NAMES: Final = {name.lower(): name for name in (*_FREE, *_ZEROS)}
_KINDS: Final = {
    "timestamp": "timestamp",
    "receiveTimestamp": "timestamp",
    "severity": "severity",
    "httpRequest.latency": "duration",
}
_NUMBERS_AS_TEXT: Final = ("requestSize", "responseSize", "cacheFillBytes", "line")
_NOT_TEXT: Final = frozenset(
    (*_KINDS, "sourceLocation.line", *(f"httpRequest.{name}" for name in _NUMBERS_AS_TEXT))
)


class Path:
    """Where a filter looks in an entry.

    Args:
        parts: the keys, the first one a LogEntry field by its JSON name.
        zero: what the field compares as when it is not set; MISSING if it then meets nothing.

    Attributes:
        kind: "timestamp", "duration", "severity" or "integer" for a field of such a type; else "".

    """

    def __init__(self, parts: tuple[str, ...], zero: object) -> None:
        """Keep the keys and the zero value."""
        self._parts = parts
        self._zero = zero
        self._is_number = isinstance(zero, int) and parts[-1] in _NUMBERS_AS_TEXT
        self._find = _protobuf_key if parts[0] == "protoPayload" else _same_key
        self._name = ".".join(parts)
        is_integer = isinstance(zero, int) and not isinstance(zero, bool)
        self.kind = _KINDS.get(self._name, "integer" if is_integer else "")

    def value_in(self, entry: dict[str, Any]) -> Any:
        """Return the value at the path, the zero value if the field is not set.

        The rest of a path behind an array is that of its members: a list of what they have.
        """
        value: Any = entry
        for at, part in enumerate(self._parts):
            if type(value) is not dict or part not in value:
                value = self._inside(value, at)
                break
            value = value[part]
        return int(value) if self._is_number else value

    def texts_in(self, entry: dict[str, Any]) -> Iterator[str]:
        """Yield the text at the path; see the function of this name."""
        return _texts_at(self._name, self.value_in(entry))

    def is_present(self, value: Any) -> bool:
        """Tell whether what `value_in` returned was set in the entry."""
        return value is not MISSING and (self._zero is MISSING or value != self._zero)

    def _inside(self, value: Any, depth: int) -> Any:
        for at in range(depth, len(self._parts)):
            if isinstance(value, list):
                found = [self._inside(member, at) for member in value]
                return [one for one in found if one is not MISSING] or MISSING
            key = self._find(value, self._parts[at]) if isinstance(value, dict) else None
            if key is None:
                return self._zero
            value = value[key]
        return value


def _same_key(value: dict[str, Any], name: str) -> str | None:
    return name if name in value else None


def _protobuf_key(value: dict[str, Any], name: str) -> str | None:
    """Return the key that a name means; a protobuf's fields are found in any case."""
    if name in value:
        return name
    wanted = _plain_name(name)
    return next((key for key in value if _plain_name(key) == wanted), None)


def _plain_name(name: str) -> str:
    return name.replace("_", "").lower()


def resolve(parts: tuple[str, ...], position: int) -> Path:
    """Return the path for the names written in a filter; FilterError if there is no such field."""
    first = _NAMES.get(_plain_name(parts[0]))
    if first is None:
        raise _unknown(parts, position)
    if first not in _ZEROS:
        return Path((first, *parts[1:]), MISSING)
    zero = _ZEROS[first]
    if len(parts) == 1:
        return Path((first,), MISSING if isinstance(zero, dict) else zero)
    if not isinstance(zero, dict):
        raise _unknown(parts, position)
    inner = {name.lower(): name for name in zero}.get(_plain_name(parts[1]))
    rest = parts[2:]
    if inner is None or (rest and zero[inner] is not None):
        raise _unknown(parts, position)
    return Path((first, inner, *rest), MISSING if zero[inner] is None else zero[inner])


def texts_in(entry: dict[str, Any]) -> Iterator[str]:
    """Yield what an entry has in fields of text: no times, severities, or numbers."""
    for name, value in entry.items():
        yield from _texts_at(name, value)


def _texts_at(name: str, value: Any) -> Iterator[str]:
    if isinstance(_ZEROS.get(name), dict) and isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_at(f"{name}.{key}", inner)
    elif name not in _NOT_TEXT:
        yield from strings(value)


def _unknown(parts: tuple[str, ...], position: int) -> FilterError:
    return FilterError(f"a LogEntry has no field {'.'.join(parts)[:200]!r}", position)
