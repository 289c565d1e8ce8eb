"""Splits texts and cuts the longest strings of JSON for the encoders, so that an entry fits. Pure.

`forklog.limits` says how large an entry may be, and how the server measures it.
"""

from __future__ import annotations

from typing import Any

from forklog.limits import OVERHEAD_BYTES, estimate

_MIN_CUT = 64
_CUT = "...(cut)"


def cut_bytes(text: str, limit: int) -> str:
    """Cut a text to at most ``limit`` UTF-8 bytes, marked as cut."""
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(_CUT)].decode("utf-8", "ignore") + _CUT


def split_text(text: str, room: int) -> list[str]:
    """Cut a text into pieces of at most ``room`` UTF-8 bytes; joined they are the text."""
    pieces = []
    encoded = text.encode()
    start = 0
    while start < len(encoded):
        end = min(start + room, len(encoded))
        while end < len(encoded) and encoded[end] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 continuation
            end -= 1
        pieces.append(encoded[start:end].decode())
        start = end
    return pieces or [""]


def fit_object(payload: dict[str, Any], room: int) -> dict[str, Any]:
    """Return the object cut to ``room`` bytes: longest strings first, then the last members."""
    excess = estimate(payload) - room
    if excess <= 0:
        return payload
    keep = _string_bound(sorted(_string_sizes(payload), reverse=True), excess)
    budget = [room]
    return dict(_bounded(payload, keep, budget))


def _string_sizes(value: Any) -> list[int]:
    if isinstance(value, str):
        return [len(value.encode("utf-8", "replace"))]
    if isinstance(value, dict):
        return [size for item in value.values() for size in _string_sizes(item)]
    if isinstance(value, list):
        return [size for item in value for size in _string_sizes(item)]
    return []


def _string_bound(sizes: list[int], excess: int) -> int:
    """Find the length to which the longest strings must be cut to save ``excess`` bytes."""
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        following = sizes[number] if number < len(sizes) else 0
        bound = (total - excess) // number - 64
        if bound >= following:
            return max(bound, _MIN_CUT)
    return _MIN_CUT


def _bounded(value: Any, keep: int, budget: list[int]) -> Any:
    """Copy a value within the budget, which shrinks by what is copied."""
    if isinstance(value, dict):
        return _bounded_dict(value, keep, budget)
    if isinstance(value, list):
        return _bounded_list(value, keep, budget)
    if isinstance(value, str):
        value = _cut(value, keep)
    budget[0] -= estimate(value)
    return value


def _bounded_dict(value: dict[str, Any], keep: int, budget: list[int]) -> dict[str, Any]:
    """Copy what fits, small members first, so that a large one takes no other's place."""
    fitting: dict[str, Any] = {}
    budget[0] -= OVERHEAD_BYTES
    for key, item in sorted(value.items(), key=lambda member: estimate(member[1])):
        if budget[0] < 8 * _MIN_CUT:
            break
        name = _cut(key, max(keep, 512))
        budget[0] -= estimate(name)
        fitting[key] = name, _bounded(item, keep, budget)
    copy = dict(fitting[key] for key in value if key in fitting)
    missing = len(value) - len(fitting) + getattr(value, "missing", 0)
    if missing:
        copy["forklog_cut"] = f"{missing} more members"
        budget[0] -= estimate("forklog_cut") + 64
    return copy


def _bounded_list(value: list[Any], keep: int, budget: list[int]) -> list[Any]:
    copy: list[Any] = []
    missing = len(value) + getattr(value, "missing", 0)
    budget[0] -= OVERHEAD_BYTES
    for item in value:
        if budget[0] < 8 * _MIN_CUT:
            break
        copy.append(_bounded(item, keep, budget))
        missing -= 1
    if missing:
        copy.append(f"...({missing} more items)")
        budget[0] -= 64
    return copy


def _cut(text: str, keep: int) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size <= keep + _MIN_CUT:
        return text
    kept = text.encode()[:keep].decode("utf-8", "ignore")
    return f"{kept}...({size - keep} more bytes)"
