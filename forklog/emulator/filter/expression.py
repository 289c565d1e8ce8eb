"""A regular expression of a filter to a search that ends in time; from lex, for match.

Cloud Logging's expressions are those of RE2 (https://github.com/google/re2/wiki/Syntax). What RE2
does not have is refused: backreferences, looking around, recursion, repeats above 1,000. The rest
is run by the package `regex`, whose searches take a time limit and let other threads run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import regex

from forklog.emulator.filter.lex import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator.filter.budget import Budget

MAX_REPEAT: Final = 1000  # RE2's own, for repeats inside of repeats too
_MAX_DEPTH: Final = 100
_SHOWN: Final = 100
_PIECE: Final = re.compile(
    r"""(?P<QUOTED>\\Q(?:.*?)(?:\\E|\Z))
    |(?P<ESCAPE>\\.)
    |(?P<CLASS>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
    |(?P<GROUP>\((?:\?(?:P?<[A-Za-z_]\w*>|[imsU]*(?:-[imsU]+)?[:)]|.?.?.?))?)
    |(?P<CLOSE>\))
    |(?P<REPEAT>\{\d+(?:,\d*)?\})
    |(?P<BRACE>[{}])
    |(?P<OTHER>.)""",
    re.VERBOSE | re.DOTALL,
)
_RE2_GROUP: Final = re.compile(r"\(|\(\?P?<[A-Za-z_]\w*>|\(\?[ims]*(?:-[ims]+)?[:)]")
_RE2_ESCAPE: Final = re.compile(r"\\[abABdDfnrsStvwWxzpP0\W_]", re.DOTALL)


def searcher(pattern: str, position: int, budget: Budget) -> Callable[[str], bool]:
    """Return the test whether a text has the pattern in it.

    Raises:
        FilterError: it is not an expression of RE2; the test raises it when the time is over.

    """
    search = _search(pattern, position, budget)
    return lambda text: search(text) is not None


def extractor(pattern: str, position: int, budget: Budget) -> Callable[[str], str | None]:
    """Return what takes a pattern's group, or its whole match without one, out of a text.

    Raises:
        FilterError: as of `searcher`, and for a pattern with more than one group.

    """
    search = _search(pattern, position, budget)
    groups = regex.compile(_checked(pattern)).groups
    if groups > 1:
        msg = f"{pattern[:_SHOWN]!r} has {groups} groups; regexp_extract takes one at most"
        raise FilterError(msg, position)

    def extract(text: str) -> str | None:
        found = search(text)
        return None if found is None else found.group(groups)

    return extract


def _search(
    pattern: str, position: int, budget: Budget
) -> Callable[[str], regex.Match[str] | None]:
    try:
        search = regex.compile(_checked(pattern)).search
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        msg = f"{pattern[:_SHOWN]!r} is not a regular expression: {error}"
        raise FilterError(msg, position) from error

    def find(text: str) -> regex.Match[str] | None:
        try:
            return search(text, timeout=budget.for_search(), concurrent=True)
        except (TimeoutError, MemoryError) as error:
            msg = f"the regular expression {pattern[:_SHOWN]!r} takes too long on an entry"
            raise FilterError(msg, position) from error

    return find


def _checked(pattern: str) -> str:
    """Return the pattern for `regex`; ValueError if RE2 does not have it, or it grows too large.

    A repeat of a group multiplies what stands in it, so the product along the nesting counts.
    """
    pieces: list[str] = []
    inner = [1]  # the largest product of repeats, for each open group
    last = 1  # that of the piece before
    for found in _PIECE.finditer(pattern):
        kind, text = found.lastgroup, found.group()
        piece = _piece(kind, text)
        if kind == "GROUP" and not text.endswith(")"):
            inner.append(1)
        elif kind == "CLOSE" and len(inner) > 1:
            last = inner.pop()
            inner[-1] = max(inner[-1], last)
        elif kind == "REPEAT":
            last *= max(map(int, re.findall(r"\d{1,9}", text)))
            inner[-1] = max(inner[-1], last)
        else:
            last = 1
        if last > MAX_REPEAT or len(inner) > _MAX_DEPTH:
            msg = f"a repeat above {MAX_REPEAT}, or more than {_MAX_DEPTH} levels of groups"
            raise ValueError(msg)
        pieces.append(piece)
    return "".join(pieces)


def _piece(kind: str | None, text: str) -> str:
    is_foreign = (kind == "GROUP" and not _RE2_GROUP.fullmatch(text)) or (
        kind == "ESCAPE" and not _RE2_ESCAPE.fullmatch(text)
    )
    if is_foreign:
        msg = f"RE2 has no {text!r}"
        raise ValueError(msg)
    if kind == "QUOTED":
        return str(regex.escape(text[2:].removesuffix(r"\E"), special_only=True))
    if text == r"\z":
        return r"\Z"  # the same in `regex`, which has \z only since 2026
    return "\\" + text if kind == "BRACE" else text  # RE2 takes such a brace as it stands
