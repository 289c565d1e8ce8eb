"""Estimates for `validate` how large an entry is inside Cloud Logging, in its protobuf form. Pure.

The quotas page counts an entry's size in the API's internal form, about 256 KiB. That form is
protobuf, so this adds up what protobuf would write for the payload and the labels. Text counts by
its UTF-8 bytes, a number takes eight; tags and lengths are around them. JSON text is never shorter
than a sixth of that: the worst case is a list of one-digit numbers. So small entries are not walked
at all.
"""

from __future__ import annotations

from typing import Any, Final

from forklog.emulator.fields import STRUCTS

MAX_ENTRY_BYTES: Final = 262_144  # https://cloud.google.com/logging/quotas#log-limits
_MAX_GROWTH: Final = 6
_NUMBER_BYTES: Final = 9


def is_surely_small(json_bytes: int) -> bool:
    """Tell whether an entry of so many JSON bytes fits whatever its form is."""
    return json_bytes * _MAX_GROWTH <= MAX_ENTRY_BYTES


def entry_bytes(entry: dict[str, Any]) -> int:
    """Return about how many bytes the entry takes inside Cloud Logging."""
    total = 0
    for name, value in entry.items():
        total += _field(_struct(value) if name in STRUCTS else _plain(value))
    return total


def shown(size: int) -> str:
    """Return a size as the API's messages give it: 555.6K, 6.23M."""
    return f"{size / 2**10:.1f}K" if size < 2**20 else f"{size / 2**20:.2f}M"


def _plain(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(
            _field(_field(len(key.encode())) + _field(_plain(v))) for key, v in value.items()
        )
    if isinstance(value, list):
        return sum(_field(_plain(item)) for item in value)
    return _NUMBER_BYTES


def _struct(value: dict[str, Any]) -> int:
    return sum(_field(_field(len(key.encode())) + _field(_value(v))) for key, v in value.items())


def _value(value: Any) -> int:
    if isinstance(value, str):
        return _field(len(value.encode()))
    if isinstance(value, dict):
        return _field(_struct(value))
    if isinstance(value, list):
        return _field(sum(_field(_value(item)) for item in value))
    return 2 if value is None or isinstance(value, bool) else _NUMBER_BYTES


def _field(payload_bytes: int) -> int:
    length_bytes = max(1, (payload_bytes.bit_length() + 6) // 7)
    return 1 + length_bytes + payload_bytes
