"""Boot records: what a process holds for its descendants, and how one of them adopts it.

Used by the pipeline; the hand-over's token decides who takes what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from forklog.delivery.buffer import Buffer
from forklog.insert_id import number_of
from forklog.process.base import Token

Ranges = list[tuple[int, int]]


class Inheritance(NamedTuple):
    """What a holding process leaves: its buffer, and the token that says who may take from it."""

    buffer: Buffer
    handover: Token


class HeldEntries:
    """The held entries of one pipeline, and those that it may adopt."""

    def __init__(
        self, buffer: Buffer, inheritance: Inheritance | None, new_token: Callable[[], Token]
    ) -> None:
        """Touch nothing; ``inheritance`` is that of an ancestor, as the fork copied it."""
        self._buffer = buffer
        self._new_token = new_token
        self._estate = inheritance
        self._handover: Token | None = None
        self._end = 0

    def inheritance(self) -> Inheritance | None:
        """Return what a child forked now may adopt: own held entries, or an ancestor's."""
        if self._handover is not None:
            return Inheritance(self._buffer, self._handover)
        return self._estate

    def hold(self) -> None:
        """Offer to the descendants all entries that came since the last call. Never blocks."""
        if self._handover is None:
            self._handover = self._new_token()
        end = 1 + self._buffer.newest_number()
        if end > self._end:
            self._handover.hold(self._end, end)
            self._end = end

    def has_unheld(self) -> bool:
        """Tell whether entries came since the last `hold`."""
        return self._buffer.newest_number() >= self._end

    def stop_holding(self) -> None:
        """Take back what no descendant has adopted, forget the rest."""
        if self._handover is None:
            return
        handover, self._handover = self._handover, None
        ranges = handover.claim(self._end)
        for rank, entry in self._buffer.clear():
            if number_of(entry) >= self._end or _is_in(entry, ranges):
                self._buffer.offer(rank, entry)
        handover.close()

    def adopt(self) -> int:
        """Take over what an ancestor held and nobody else has taken; return how many entries."""
        inheritance, self._estate = self._estate, None
        if inheritance is None:
            return 0
        ranges = inheritance.handover.claim(1 + inheritance.buffer.newest_number())
        mine = [(r, e) for r, e in inheritance.buffer.snapshot() if ranges and _is_in(e, ranges)]
        for rank, entry in mine:
            self._buffer.offer(rank, entry)
        return len(mine)


def _is_in(entry: bytes, ranges: Ranges) -> bool:
    number = number_of(entry)
    return any(low <= number < high for low, high in ranges)
