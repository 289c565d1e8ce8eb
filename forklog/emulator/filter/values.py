"""Values of an entry as a filter measures them: text, numbers, durations; pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION: Final = re.compile(r"-?(?:\d{1,12}(?:\.\d{1,9})?(?:ns|us|ms|s|m|h))+", re.ASCII)
# What stands between words: https://cloud.google.com/bigquery/docs/text-analyzers, LOG_ANALYZER.
_WORD: Final = re.compile(r"[^\s\[\]<>(){}|!;,'\"*&?+/:=@.\-$%\\_]+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", re.ASCII)


def texts(value: Any) -> Iterator[str]:
    """Yield all text in an entry in lower case, keys of payloads and labels left out."""
    return (text.lower() for text in leaves(value))


def leaves(value: Any) -> Iterator[str]:
    """Yield all text, numbers and booleans in a value, each as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif is_number(value):
        yield str(value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def nanoseconds_of(text: str) -> int:
    """Return a duration such as "1.5s" or "1m30s" in nanoseconds; ValueError if it is none."""
    if not text:
        return 0
    if not _DURATION.fullmatch(text):
        msg = f'{text[:100]!r} is not a duration; write it as "1.5s", "200ms" or "1m30s"'
        raise ValueError(msg)
    total = sum(int(Decimal(count) * _UNITS[unit]) for count, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, as SEARCH tells them apart."""
    return _WORD.findall(text.lower())


def has_phrase(words: list[str], phrase: list[str]) -> bool:
    """Tell whether the words of a phrase stand in a text, in order and side by side."""
    last = len(words) - len(phrase) + 1
    return any(words[at : at + len(phrase)] == phrase for at in range(last))
