"""Bounds the CPU time that one call spends on its filter: `listing` makes it, `match` asks it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE_SECONDS: Final = 2.0  # then the page ends early, with a token
COMPILE_SECONDS: Final = 2.0  # then no further expression of a filter is compiled
SEARCH_SECONDS: Final = 4.0  # then a filter that still runs on an entry is given up
_STEPS: Final = 16  # comparisons between two looks at the clock, which takes as long as one


class Budget:
    """Measure the CPU time of this thread, so that a busy machine costs no caller anything.

    Args:
        now: the CPU time so far, in seconds.

    """

    def __init__(self, now: Callable[[], float] = time.thread_time) -> None:
        """Begin now."""
        self._now = now
        self._begin = now()
        self._steps = 0

    def spent(self) -> float:
        """Return the seconds of CPU time since this budget was made."""
        return self._now() - self._begin

    def is_page_over(self) -> bool:
        """Tell whether the page is to end with what was found so far."""
        return self.spent() > PAGE_SECONDS

    def is_late_to_compile(self) -> bool:
        """Tell whether the filter is to be given up before its next expression."""
        return self.spent() > COMPILE_SECONDS

    def is_over(self) -> bool:
        """Tell whether the filter is to be given up; asked before each comparison."""
        self._steps += 1
        return self._steps % _STEPS == 0 and self.spent() > SEARCH_SECONDS

    def for_search(self) -> float:
        """Return the seconds that are left for one search; above 0."""
        return max(0.001, SEARCH_SECONDS - self.spent())
