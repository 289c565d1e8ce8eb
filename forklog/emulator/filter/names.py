"""Field paths of a filter to values of an entry; what match looks names up in; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forklog.emulator.filter.lex import FilterError

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Missing:
    """The value of a payload field or label that an entry does not have."""

    __slots__ = ()


MISSING: Final = _Missing()

# Fields whose inside is free; the others are messages with the zero values given here.
_FREE: Final = (
    "jsonPayload",
    "protoPayload",
    "labels",
    "metadata",
    "errorGroups",
    "apphub",
    "apphubDestination",
    "apphubSource",
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


class Path:
    """Where a filter looks in an entry.

    Args:
        parts: the keys, the first one a LogEntry field by its JSON name.
        zero: what the field compares as when it is not set; MISSING if it then meets nothing.

    """

    def __init__(self, parts: tuple[str, ...], zero: object) -> None:
        """Keep the keys and the zero value."""
        self._parts = parts
        self._zero = zero
        self._is_number = isinstance(zero, int) and parts[-1] in _NUMBERS_AS_TEXT
        self.kind = _KINDS.get(".".join(parts), "")

    def value_in(self, entry: dict[str, Any]) -> Any:
        """Return the value at the path, the zero value if the field is not set."""
        value: Any = entry
        for part in self._parts:
            if not isinstance(value, dict) or part not in value:
                return self._zero
            value = value[part]
        return int(value) if self._is_number else value

    def is_present(self, value: Any) -> bool:
        """Tell whether what `value_in` returned was set in the entry."""
        return value is not MISSING and (self._zero is MISSING or value != self._zero)


def resolve(parts: tuple[str, ...], position: int) -> Path:
    """Return the path for the names written in a filter; FilterError if there is no such field."""
    first = _NAMES.get(parts[0].replace("_", "").lower())
    if first is None:
        raise _unknown(parts, position)
    if first not in _ZEROS:
        return Path((first, *parts[1:]), MISSING)
    zero = _ZEROS[first]
    if len(parts) == 1:
        return Path((first,), MISSING if isinstance(zero, dict) else zero)
    if not isinstance(zero, dict):
        raise _unknown(parts, position)
    inner = {name.lower(): name for name in zero}.get(parts[1].replace("_", "").lower())
    rest = parts[2:]
    if inner is None or bool(rest) != (zero[inner] is None):
        raise _unknown(parts, position)
    return Path((first, inner, *rest), MISSING if rest else zero[inner])


def _unknown(parts: tuple[str, ...], position: int) -> FilterError:
    return FilterError(f"a LogEntry has no field {'.'.join(parts)[:200]!r}", position)
