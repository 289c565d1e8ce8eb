"""Takes the text out of an entry's values, as `match` compares and searches it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

# What stands between words: https://cloud.google.com/bigquery/docs/text-analyzers, LOG_ANALYZER.
_WORD: Final = re.compile(r"[^\s\[\]<>(){}|!;,'\"*&?+/:=@.\-$%\\_]+")
# Unicode's property Default_Ignorable_Code_Point.
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def fold(text: str) -> str:
    """Return the text normalized by NFKC_Casefold, in which case and width do not count.

    https://www.unicode.org/reports/tr44/#NFKC_Casefold.
    """
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", _IGNORABLE.sub("", text)).casefold())


def texts(value: Any) -> Iterator[str]:
    """Yield all text in an entry, folded; keys of payloads and labels are left out."""
    return map(fold, leaves(value))


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


def strings(value: Any) -> Iterator[str]:
    """Yield the text in a value, numbers and booleans left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def members(value: Any) -> Iterator[Any]:
    """Yield the members of an array and of the arrays in it; anything else as it is."""
    if isinstance(value, list):
        for inner in value:
            yield from members(inner)
    else:
        yield value


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def words_of(text: str) -> list[str]:
    """Return the words of a folded text, as SEARCH tells them apart."""
    return _WORD.findall(text)


def spaced(words: list[str]) -> str:
    """Return words as one text, in which those of a phrase are found side by side."""
    return f" {' '.join(words)} "
