"""What is set aside: entries that the server refuses while it takes others.

They stay pending, in lanes of the buffer of their own, where an overflow finds them by their
severity. One at a time is tried again, alone, ever more rarely while all are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from forklog.clock import monotonic
from forklog.delivery.base import Store
from forklog.severity import RANKS, SEVERITIES

_SEVERITY = re.compile(rb'"severity":"([A-Z]+)"')
_HEAD_BYTES = 200  # of an entry; the severity is one of its first fields
_MOST_DOUBLINGS = 3


class Aside:
    """The entries that one sender has set aside. For whoever runs passes, one at a time."""

    def __init__(
        self,
        buffer: Store,
        ceiling: float,
        random: Callable[[], float],
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Keep nothing; ``ceiling`` is the longest first delay in seconds."""
        self._buffer = buffer
        self._ceiling = ceiling
        self._random = random
        self._now = now
        self._refusals = 0
        self._due = 0.0
        self._sending = 0

    def put(self, entries: list[bytes]) -> None:
        """Move all entries of a list here; none is tried before a delay."""
        while entries:
            self._buffer.put_aside(_rank_of(entries[0]), entries)
        share = self._ceiling * (0.5 + 0.5 * self._random())
        self._due = self._now() + share * 2 ** min(self._refusals, _MOST_DOUBLINGS)

    def put_back(self, entries: list[bytes]) -> None:
        """Do so with what was tried and refused; the next one is tried after a longer delay."""
        self._refusals += 1
        self.put(entries)

    def passed(self) -> None:
        """Take note that one was settled: the next one may be tried at once."""
        self._refusals = 0
        self._due = 0.0

    def take(self, into: list[bytes]) -> None:
        """Move the entry to try now to a list."""
        self._sending = (self._sending + 1) % RANKS
        self._buffer.take_aside(into, self._sending)

    def seconds(self) -> float | None:
        """Return the seconds until an entry is to be tried, None if there is none."""
        return max(0.0, self._due - self._now()) if self._buffer.count_aside() else None


def _rank_of(entry: bytes) -> int:
    found = _SEVERITY.search(entry, 0, _HEAD_BYTES)
    return SEVERITIES.index(found[1]) if found and found[1] in SEVERITIES else 0
