"""Takes a regular expression of a filter, gives `match` a search that ends within its budget.

Cloud Logging's expressions are those of RE2, which re2 translates. They are run by the package
`regex`, whose searches take a time limit and let other threads run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import regex

from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.re2 import FLAGS, translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator.filter.budget import Budget

_SHOWN: Final = 100


def searcher(pattern: str, position: int, budget: Budget) -> Callable[[str], bool]:
    """Return the test whether a text has the pattern in it.

    Raises:
        FilterError: it is not an expression of RE2; the test raises it when the time is over.

    """
    search, _ = _search(pattern, position, budget)
    return lambda text: search(text) is not None


def extractor(pattern: str, position: int, budget: Budget) -> Callable[[str], str | None]:
    """Return what takes the text of a pattern's group out of a text.

    Raises:
        FilterError: as of `searcher`, and for a pattern that has not exactly one group.

    """
    search, groups = _search(pattern, position, budget)
    if groups != 1:
        msg = f"{pattern[:_SHOWN]!r} has {groups} groups; regexp_extract takes exactly one"
        raise FilterError(msg, position)

    def extract(text: str) -> str | None:
        found = search(text)
        return None if found is None else found.group(1)

    return extract


def _search(
    pattern: str, position: int, budget: Budget
) -> tuple[Callable[[str], regex.Match[str] | None], int]:
    """Return the search, and the number of groups in the pattern."""
    if budget.is_late_to_compile():  # hundreds of expressions take their time to compile, too
        msg = f"the filter takes too long before the regular expression {pattern[:_SHOWN]!r}"
        raise FilterError(msg, position)
    try:
        translated = translate(pattern)
        search = regex.compile(translated.pattern, FLAGS).search
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        msg = f"{pattern[:_SHOWN]!r} is not a regular expression: {error}"
        raise FilterError(msg, position) from error

    def find(text: str) -> regex.Match[str] | None:
        try:
            return search(text, timeout=budget.for_search(), concurrent=True)
        except (TimeoutError, MemoryError) as error:
            msg = f"the regular expression {pattern[:_SHOWN]!r} takes too long on an entry"
            raise FilterError(msg, position) from error

    return find, translated.groups
