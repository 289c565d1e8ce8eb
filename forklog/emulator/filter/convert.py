"""Turns the text of a filter into numbers, booleans, times and durations, for `match`. Pure.

The forms are those of
https://cloud.google.com/logging/docs/view/logging-query-language#values_conversions.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from forklog.emulator import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION: Final = re.compile(r"[+-]?(?:\d{1,12}(?:\.\d{1,9})?(?:ns|us|ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|infinity)|nan", re.ASCII | re.IGNORECASE
)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?([Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_BOOLEANS: Final = {"true": True, "false": False}


def number_of(text: str) -> float | None:
    """Return a number, "Infinity" and "NaN" included; None if the text is none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def exact_number_of(text: str) -> float | None:
    """Return a number, an integer without rounding; None if the text is none."""
    return int(text) if _INTEGER.fullmatch(text) else number_of(text)


def boolean_of(text: str) -> bool | None:
    """Return a boolean, written in any case; None if the text is none."""
    return _BOOLEANS.get(text.lower())


def moment_of(text: str) -> int:
    """Return the nanoseconds since 1970 of a time; ValueError if the text is none.

    A date alone is its midnight, and what has no zone is in UTC.
    """
    if found := _TIME.fullmatch(text):
        day, minute, seconds, zone = found.groups(default="")
        zone = zone.upper() if len(zone) != len("+00") else zone + ":00"
        text = f"{day}T{minute or '00:00'}{seconds or ':00'}{zone or 'Z'}"
    return timestamps.parse(text)


def nanoseconds_of(text: str) -> int:
    """Return a duration such as "1.5s" or "1m30s" in nanoseconds; ValueError if it is none."""
    if not text:
        return 0
    if not _DURATION.fullmatch(text):
        msg = f'{text[:100]!r} is not a duration; write it as "1.5s", "200ms" or "1m30s"'
        raise ValueError(msg)
    total = sum(int(Decimal(count) * _UNITS[unit]) for count, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


def _cast_integer(text: str) -> int:
    number = int(text) if _INTEGER.fullmatch(text) else 2**63
    return number if -(2**63) <= number < 2**63 else _fail(text, "an integer of 64 bits")


def _cast_number(text: str) -> float:
    number = number_of(text)
    return _fail(text, "a number") if number is None else number


def _cast_boolean(text: str) -> bool:
    value = boolean_of(text)
    return _fail(text, "a boolean") if value is None else value


def _cast_time(text: str) -> str:
    return timestamps.render(moment_of(text))


def _cast_duration(text: str) -> str:
    nanoseconds_of(text or _fail(text, "a duration"))
    return text


def _fail(text: str, wanted: str) -> Any:
    msg = f"{text[:100]!r} is not {wanted}"
    raise ValueError(msg)


# The types of `cast`: each raises ValueError for a text that it cannot take.
CASTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "STRING": str,
    "INT64": _cast_integer,
    "FLOAT64": _cast_number,
    "BOOL": _cast_boolean,
    "TIMESTAMP": _cast_time,
    "DURATION": _cast_duration,
}
# How the results of some compare; see `names.Path.kind`.
CAST_KINDS: Final = {"INT64": "integer", "TIMESTAMP": "timestamp", "DURATION": "duration"}
