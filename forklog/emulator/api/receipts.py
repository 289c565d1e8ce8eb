"""When entries were received, by position: kept by store, so that listing leaves old ones out."""

from __future__ import annotations

from bisect import bisect_left

from forklog.emulator.timestamps import SECOND


class Receipts:
    """Positions with the time until which all up to there were received; one for each second.

    Positions grow with the time of receipt, unless the clock was set back. So each has the latest
    time up to there.

    Args:
        first: positions up to this one are of an earlier run; nothing is known of them.

    """

    def __init__(self, first: int) -> None:
        """Know nothing yet."""
        self.first = first
        self._latest: list[int] = []
        self._positions: list[int] = []

    def note(self, received: int, position: int) -> None:
        """Note that entries up to a position were received by now, in nanoseconds since 1970."""
        if self._latest:
            received = max(received, self._latest[-1])
            if received // SECOND == self._latest[-1] // SECOND:
                self._latest[-1], self._positions[-1] = received, position
                return
        self._latest.append(received)
        self._positions.append(position)

    def position_before(self, received: int) -> int:
        """Return a position up to which all entries after `first` were received before a time."""
        at = bisect_left(self._latest, received)
        return self._positions[at - 1] if at else self.first
