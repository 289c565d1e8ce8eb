"""Computes the least time between two requests of a process while a quota refuses some. Pure.

All processes of a project share its quotas, and none knows the others. A process that is refused
doubles its gap; each request that is taken shortens the gap a little. Without a refusal the gap
is zero, and nothing here has any effect.

Above ten seconds a gap grows by half, and the retry of a refused batch waits no longer for it. What
a few unlucky processes of a large fleet hold would else be minutes old.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

Random = Callable[[], float]

_FIRST, _LONG, _LONGEST, _LEAST = 0.25, 10.0, 60.0, 0.02  # seconds
_SHRINK = 0.01  # a second: of ten thousand processes each sends rarely, so the gap shrinks slowly
_GROWTH = 1.1  # of the batch, for each request that is taken
LEAST_BATCH_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """What one process has learned of the quotas; a value, replaced after each answer."""

    gap: float = 0.0
    """Seconds between two requests, on average; zero while no quota refuses."""
    batch_bytes: int | None = None
    """The most that a request may hold while a quota of bytes refuses; None for no such bound."""

    def refused(self, batch_bytes: int | None = None) -> Pace:
        """Return the pace after an answer of 429.

        Args:
            batch_bytes: size of the request that was refused, where the answer names a quota of
                bytes. The next ones hold half of it at most, or `LEAST_BATCH_BYTES`.
        """
        growth = 2.0 if self.gap < _LONG else 1.5
        gap = min(_LONGEST, growth * max(self.gap, _FIRST))
        if batch_bytes is None:
            return replace(self, gap=gap)
        bound = batch_bytes if self.batch_bytes is None else min(batch_bytes, self.batch_bytes)
        return Pace(gap, max(LEAST_BATCH_BYTES, bound // 2))

    def taken(self, max_batch_bytes: int) -> Pace:
        """Return the pace after a request that the server took.

        Args:
            max_batch_bytes: the option; a bound of the batch that reaches it is dropped.
        """
        if self.gap == 0.0 and self.batch_bytes is None:
            return self
        gap = self.gap / (1.0 + _SHRINK * self.gap)
        grown = None if self.batch_bytes is None else int(self.batch_bytes * _GROWTH)
        if grown is not None and grown >= max_batch_bytes:
            grown = None
        return Pace(gap if gap >= _LEAST else 0.0, grown)

    def seconds_to_retry(self, retry_after: float | None, random: Random) -> float:
        """Return how long a batch that 429 refused waits, from the pace after that refusal.

        Args:
            retry_after: seconds that the server asked for. The gap is never less, and up to half of
                it more, so that processes that were refused together do not come back together.
            random: returns a float from 0 to 1.
        """
        floor = (retry_after or 0.0) * (1.0 + 0.5 * random())
        return floor + min(self.gap, _LONG) * (0.25 + 0.5 * random())

    def seconds_to_next(self, random: Random) -> float:
        """Return how long after the last request a batch of new entries may be sent."""
        return self.gap * (0.5 + random()) if self.gap else 0.0
