"""Sets entries aside that the server refuses while it takes others; picks the next to retry.

They stay pending, in lanes of the buffer of their own, where an overflow finds them by their
severity. One at a time is tried again, alone, ever more rarely while all are refused. Once one is
delivered, the next try has two of them, then four and so on.
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
        self._rank = 0
        self._most = 1  # entries of the next try
        self._goes_first = False

    def put(self, entries: list[bytes]) -> None:
        """Move all entries of a list here; none is tried before a delay."""
        while entries:
            self._buffer.put_aside(_rank_of(entries[0]), entries)
        share = self._ceiling * (0.5 + 0.5 * self._random())
        self._due = self._now() + share * 2 ** min(self._refusals, _MOST_DOUBLINGS)

    def put_back(self, entries: list[bytes]) -> None:
        """Set aside again what was refused; the next one is tried after a longer delay.

        Where several were tried, each may be another case: the next one is tried at once, alone.
        """
        is_alone = len(entries) == 1
        self._refusals += is_alone
        self._most = 1
        self.put(entries)
        if not is_alone:
            self._due = 0.0

    def passed(self, *, is_delivered: bool) -> None:
        """Take note that what was tried is settled: the next try may be made at once."""
        self._most = 2 * self._most if is_delivered else 1
        self._refusals = 0
        self._due = 0.0

    def go_first(self) -> None:
        """Take note that new entries were delivered: what is set aside may go before others."""
        self._goes_first = True

    def is_next(self) -> bool:
        """Tell whether what is set aside is to be tried now: new entries wait for one such try."""
        return self.seconds() == 0 and (self._goes_first or not self._buffer.has_waiting())

    def is_passing(self) -> bool:
        """Tell whether the last try was delivered."""
        return self._most > 1

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move what is to be tried now to a list: one entry, or more within these bounds."""
        self._goes_first = False
        for number in range(min(self._most, max_entries)):
            self._rank = (self._rank + 1) % RANKS
            self._buffer.take_aside(into, self._rank)
            size = sum(map(len, into))
            if len(into) == number or size + size // len(into) > max_bytes:
                break
        into.sort()

    def seconds(self) -> float | None:
        """Return the seconds until an entry is to be tried, None if there is none."""
        return max(0.0, self._due - self._now()) if self._buffer.count_aside() else None


def _rank_of(entry: bytes) -> int:
    found = _SEVERITY.search(entry, 0, _HEAD_BYTES)
    return SEVERITIES.index(found[1]) if found and found[1] in SEVERITIES else 0
