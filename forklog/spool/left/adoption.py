"""One orphan as the adopter sees it: how the server takes its entries, and when the next is due.

Used by `forklog.spool.adopter` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from forklog.clock import monotonic
from forklog.spool.left.orphan import Orphan
from forklog.spool.left.refused import postpone

FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
"""Seconds to wait after a failure, doubled each time; own entries do not wait for it."""
_PATIENCE = 3  # refusals before a batch is split


@dataclass(slots=True)
class Sums:
    """What became of entries of dead processes; for one thread at a time, but to be read."""

    recovered: int = 0
    """They were delivered."""
    refused: int = 0
    """The server will never take them."""
    torn: int = 0
    """Pieces of entries that a kill has cut off."""

    def add(self, *, recovered: int = 0, refused: int = 0, torn: int = 0) -> None:
        """Add to each."""
        self.recovered += recovered
        self.refused += refused
        self.torn += torn


@dataclass(slots=True, eq=False)
class Adoption:
    """An orphan, and how its entries fare with the server."""

    orphan: Orphan
    max_entries: int
    limit: int
    """Entries of the next request: fewer after refusals, so that one holds up few others."""
    retry_at: float = 0.0
    failures: int = 0
    refusals: int = 0
    postponed: int = 0
    """Entries that were moved behind all others since the last one that was delivered."""

    def halve(self, number: int) -> None:
        """Send half as many entries in the next request as were in the last one."""
        self.limit = number // 2

    def put_off(self, number: int, *, is_of_content: bool, least: float) -> None:
        """Take note that a batch of ``number`` entries was refused, or not answered."""
        wait = doubled(FIRST_RETRY, self.failures, LONGEST_RETRY)
        self.failures += 1
        self.refusals += is_of_content
        is_part = self.limit < self.max_entries
        if number > 1 and self.refusals >= (1 if is_part else _PATIENCE):
            self.halve(number)
            self.failures = self.refusals = 0  # a part is tried soon; there are few of them
        elif number == 1 and self.refusals >= (1 if self.postponed else _PATIENCE):
            self.refusals = 0
            if postpone(self.orphan):
                wait = FIRST_RETRY if not self.postponed else wait
                self.failures = self.failures if self.postponed else 0
                self.postponed += 1
        self.retry_at = monotonic() + max(least, wait)

    def passed(self) -> None:
        """Take note that a batch is settled."""
        self.limit = min(2 * self.limit, self.max_entries)
        self.retry_at, self.failures, self.refusals, self.postponed = 0.0, 0, 0, 0


def doubled(first: float, times: int, longest: float) -> float:
    """Return seconds that were doubled so many times, up to a bound."""
    return min(first * 2.0 ** min(times, 16), longest)
