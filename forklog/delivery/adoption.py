"""Held entries: what a process keeps for its descendants, and how one of them adopts them.

Used by the pipeline; the hand-over's token decides who takes what.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from forklog.delivery.base import HeldCopies, Spooler
from forklog.delivery.buffer import Buffer
from forklog.insert_id import AFTER_ALL, number_of
from forklog.process.base import HandoverToken
from forklog.severity import RANKS

Ranges = list[tuple[int, int]]
_LOWEST = 0  # the rank of what is read from copies, which do not tell it


class Inheritance(NamedTuple):
    """What a holding process leaves: its buffer, and the token that says who may take from it."""

    buffer: Buffer
    handover: HandoverToken
    end: int
    """The first number that was not offered, as of the fork."""
    copies: HeldCopies | None = None
    """Where the entries stand in a spool as well."""


class HeldEntries:
    """The held entries of one pipeline, and those that it may adopt."""

    def __init__(
        self,
        buffer: Buffer,
        inheritance: Inheritance | None,
        new_token: Callable[[], HandoverToken],
        spooler: Spooler | None = None,
    ) -> None:
        """Touch nothing; ``inheritance`` is that of an ancestor, as the fork copied it."""
        self._spooler = spooler
        self._buffer = buffer
        self._new_token = new_token
        self._inheritance = inheritance
        self._handover: HandoverToken | None = None
        self._end = 0
        self._held = [b""] * RANKS  # the last entry of each rank that descendants are offered
        self._copied = [b""] * RANKS  # ...and the last that stands in the copies
        self._claimed: Ranges = []
        self.adopted = 0
        """How many entries of an ancestor's are this process's now."""
        self._lost, self._rescued = 0, list[bytes]()
        self._is_back = False  # what was held, from memory and copies

    def inheritance(self) -> Inheritance | None:
        """Return what a child forked now may adopt: own held entries, or an ancestor's."""
        if self._handover is not None:
            return Inheritance(self._buffer, self._handover, self._end, self._copies())
        return self._inheritance

    def hold(self) -> None:
        """Offer to the descendants all entries that came since the last call. Never blocks.

        Another thread may offer a lower number later: the number is drawn before the offer.
        """
        if self._handover is None:
            self._handover = self._new_token()
        new = self._buffer.unseen(self._held)
        if (copies := self._copies()) is not None:
            self._copy(copies, new)
        numbers = [number_of(entry) for entry in chain.from_iterable(new)]
        for number in numbers:
            if number < self._end:
                self._handover.offer(number, number + 1)
        end = 1 + max(numbers, default=-1)
        if end > self._end:
            self._handover.offer(self._end, end)
            self._end = end
        for rank, run in enumerate(new):
            self._held[rank] = run[-1] if run else self._held[rank]

    def _copy(self, copies: HeldCopies, new: list[list[bytes]]) -> None:
        """Write copies down, also of what found no room earlier; count what finds none now."""
        if not copies.is_ready():
            copies.miss(sum(map(len, new)))
            return
        for rank, run in enumerate(self._buffer.unseen(self._copied)):
            number = copies.hold(run)
            if number:
                self._copied[rank] = run[number - 1]
            copies.miss(len({*run[number:]}.intersection(new[rank])))

    def _copies(self) -> HeldCopies | None:
        return self._spooler.held if self._spooler is not None else None

    def has_unheld(self) -> bool:
        """Tell whether entries came since the last `hold`."""
        return any(self._buffer.unseen(self._held))

    def is_holding(self) -> bool:
        """Tell whether what was held is in memory still: no spool may take it from there.

        What has a copy, and is not in memory, was dropped.
        """
        return self._handover is not None and not self._is_back

    def stop_holding(self) -> None:
        """Take back what no descendant has adopted, forget the rest. May be repeated."""
        if self._handover is None:
            return
        copies = self._copies()
        with _claiming(copies) as copied:
            if not self._is_back:
                self._take_back(self._handover, copied)
                self._is_back = True
            if self._spooler is not None and copies is not None:
                self._spooler.take_in()
                if copied:  # one that waits for the claim has opened the files
                    copies.settle(AFTER_ALL)
                copies.close()
        handover, self._handover = self._handover, None
        self._end, self._is_back = 0, False
        self._held, self._copied = [b""] * RANKS, [b""] * RANKS
        self._claimed = []
        handover.close()

    def _take_back(self, handover: HandoverToken, copied: list[bytes]) -> None:
        mine = handover.claim(self._end, self._claimed)
        rescued = _overflowed(self._buffer, copied)
        self._forget_adopted(mine, min(copied, default=AFTER_ALL))
        self._rescued = self._rescued or rescued  # an exception may have this repeated
        self._buffer.adopt(_LOWEST, deque(rescued))

    def _forget_adopted(self, mine: Ranges, first: bytes) -> None:
        unheld = set(chain.from_iterable(self._buffer.unseen(self._held)))
        for rank, entry in self._buffer.snapshot():
            is_held = number_of(entry) < self._end and entry not in unheld
            if is_held and not (_is_in(entry, mine) or entry >= first):
                self._buffer.forget(rank, entry)

    def adopt(self) -> int:
        """Take over what an ancestor held and no other process has taken. May be repeated.

        Returns:
            How many entries are taken over.
        """
        inheritance = self._inheritance
        if inheritance is None:
            return 0
        with _claiming(inheritance.copies) as copied:
            self._take_over(inheritance, copied)
        self._inheritance, self._claimed = None, []
        return self.adopted

    def take_overflow(self) -> tuple[int, list[bytes]]:
        """Return, once, what became of held entries that an overflow has taken from memory.

        Returns:
            How many of an ancestor's are lost, and which of this process's own are not.
        """
        found = self._lost, self._rescued
        self._lost, self._rescued = 0, []
        return found

    def _take_over(self, inheritance: Inheritance, copied: list[bytes]) -> None:
        """Take over what is offered, and what the copies have from the first on.

        A process that was killed right after it had claimed has left that. The copies may have what
        an overflow has taken from memory as well.
        """
        rescued = _overflowed(inheritance.buffer, copied)
        first = min(copied, default=AFTER_ALL)
        waiting = [*((_LOWEST, entry) for entry in rescued), *inheritance.buffer.snapshot()]
        end = 1 + max((number_of(entry) for _, entry in waiting), default=-1)
        ranges = inheritance.handover.claim(max(end, inheritance.end), self._claimed)
        mine: dict[int, deque[bytes]] = {}
        for rank, entry in waiting:
            if _is_in(entry, ranges) or entry >= first:
                mine.setdefault(rank, deque()).append(entry)
        everything = [entry for entries in mine.values() for entry in entries]
        self.adopted = len(everything)
        self._lost = _lost(inheritance.buffer, ranges, (entry for _, entry in waiting))
        known = {entry for _, entry in self._buffer.snapshot()} if mine else set()
        for rank, entries in mine.items():
            if entries[0] not in known:
                self._buffer.adopt(rank, entries)
        if mine and self._spooler is not None and inheritance.copies is not None:
            self._spooler.take_in(set(everything).difference(copied))
            if first != AFTER_ALL:
                inheritance.copies.settle(self._last_taken_in(everything))

    def _last_taken_in(self, entries: list[bytes]) -> bytes:
        """Return the last entry before the first that found no room in this process's own spool.

        From that one on the copies stay, in case this process is killed. While it lives, another
        one may send them as well, and they are shown once.
        """
        left = {entry for _, entry in self._buffer.snapshot()}
        waiting = min(left.intersection(entries), default=AFTER_ALL)
        return max((entry for entry in entries if entry < waiting), default=b"")


@contextlib.contextmanager
def _claiming(copies: HeldCopies | None) -> Iterator[list[bytes]]:
    """Claim alone, as far as can be; give the entries that no process has, by the copies."""
    if copies is None:
        yield []
        return
    with copies.claiming() as is_alone:
        yield copies.unsettled() if is_alone else []


def _overflowed(buffer: Buffer, copied: list[bytes]) -> list[bytes]:
    """Return, in order, the entries that have a copy, and that the buffer has dropped."""
    if not buffer.count_overflowed():
        return []
    return sorted(set(copied).difference(entry for _, entry in buffer.snapshot()))


def _lost(buffer: Buffer, claimed: Ranges, found: Iterable[bytes]) -> int:
    """Return how many of the claimed entries an overflow has dropped, and no copy has.

    A number without an entry may be a record that could not be encoded as well.
    """
    if not (overflowed := buffer.count_overflowed()):
        return 0
    numbers = sum(high - low for low, high in claimed)
    return max(0, min(overflowed, numbers - sum(_is_in(entry, claimed) for entry in found)))


def _is_in(entry: bytes, ranges: Ranges) -> bool:
    number = number_of(entry)
    return any(low <= number < high for low, high in ranges)
