"""The token bucket of a quota fault: tells `armed` whether a call exceeds the quota."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Tokens:
    """A bucket that holds one second's tokens, full at first.

    Attributes:
        per_second: how many come back in a second.
        now: the clock, in seconds.

    """

    per_second: float
    now: Callable[[], float] = time.monotonic
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        """Fill the bucket."""
        self._level, self._at = self._size(), self.now()

    def _size(self) -> float:
        return max(1.0, self.per_second)

    def has(self, need: float) -> bool:
        """Tell whether there are as many; what needs more than a second's needs a full bucket."""
        now = self.now()
        self._level = min(self._size(), self._level + (now - self._at) * self.per_second)
        self._at = now
        return self._level >= min(need, self._size())

    def take(self, need: float) -> None:
        """Use tokens up; the level falls below zero where more were needed than it holds."""
        self._level -= need
