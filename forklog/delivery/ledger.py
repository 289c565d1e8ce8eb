"""Counts, under one lock, where each entry is after it left the buffer.

All of it stands in one account, which is replaced whole, in one step. An exception of a signal
handler leaves the old one or the new one, and an entry is neither lost nor counted twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from forklog.delivery.base import Store
from forklog.drops import BUFFER_FULL, ENCODE
from forklog.snapshot import Stats, summed
from forklog.turn import TurnLock

_NONE: Mapping[str, int] = MappingProxyType({})


class Booking(NamedTuple):
    """What became of some entries."""

    delivered: int = 0
    diverted: Mapping[str, int] = _NONE
    """Written elsewhere, by place."""
    dropped: Mapping[str, int] = _NONE
    """Given up, by reason."""
    missing: Mapping[str, int] = _NONE
    """What the log will lack, by reason; some of it may have been diverted."""


NOTHING = Booking()


def booking_of(number: int, reason: str, written: Mapping[str, int]) -> Booking:
    """Return the booking of entries that were given up, so many of which were written elsewhere."""
    lost = number - sum(written.values())
    dropped = {reason: lost} if lost else {}
    return Booking(0, written, dropped, {reason: number} if number else {})


class Account(NamedTuple):
    """The entries that left the buffer. Never changed but by the deque's own steps."""

    batches: deque[Any]
    """In flight: taken and not settled; each a `Batch`, the first is sent next."""
    leaving: tuple[list[bytes], ...] = ()
    """Given up, and being written to the last resort."""
    delivered: int = 0
    diverted: Mapping[str, int] = _NONE
    dropped: Mapping[str, int] = _NONE
    unreported: Mapping[str, int] = _NONE
    """What no notice in the log has named, by reason."""
    overflowed: int = 0
    """Entries that overflows have dropped, as far as they stand under ``dropped``."""
    unencoded: int = 0
    """Records that became no entry, as far as they stand under ``dropped``."""

    def after(self, booking: Booking, **changes: Any) -> Account:
        """Return the account with a booking added and these fields changed."""
        sums = {
            "delivered": self.delivered + booking.delivered,
            "diverted": summed(self.diverted, booking.diverted),
            "dropped": summed(self.dropped, booking.dropped),
            "unreported": summed(self.unreported, booking.missing or booking.dropped),
        }
        return self._replace(**{**sums, **changes})

    def number(self) -> int:
        """Return the number of entries that left the buffer and are not settled."""
        return sum(len(b.entries) for b in self.batches) + sum(map(len, self.leaving))


class Ledger:
    """Count what becomes of entries. `lock` is held for memory work only."""

    def __init__(self) -> None:
        """Begin with zero."""
        self.lock = TurnLock()
        self.account = Account(deque())
        self.requests = 0
        self.retries = 0

    @property
    def delivered(self) -> int:
        """Return the number of entries that the server has confirmed."""
        return self.account.delivered

    @property
    def diverted(self) -> Mapping[str, int]:
        """Return the numbers of entries that were written elsewhere, by place."""
        return self.account.diverted

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return the numbers of entries that were given up, by reason."""
        return self.account.dropped

    def book(self, booking: Booking, **changes: Any) -> None:
        """Add a booking and change fields of the account, in one step."""
        self.lock.run(self._book, booking, changes)

    def _book(self, booking: Booking, changes: Mapping[str, Any]) -> None:
        self.account = self.account.after(booking, **changes)

    def book_overflow(self, store: Store) -> tuple[int, int]:
        """Book what the logging threads dropped; return what is new: overflowed, not encoded."""
        return self.lock.run(self._book_overflow, store)

    def _book_overflow(self, store: Store) -> tuple[int, int]:
        overflowed, unencoded = store.count_overflowed(), store.unencoded
        new, lost = overflowed - self.account.overflowed, unencoded - self.account.unencoded
        dropped = {BUFFER_FULL: new, ENCODE: lost}
        dropped = {reason: number for reason, number in dropped.items() if number}
        self.book(Booking(dropped=dropped), overflowed=overflowed, unencoded=unencoded)
        return new, lost

    def book_rescued(self, store: Store, number: int) -> None:
        """Book that so many, at most, of what overflows dropped are not lost, and count again."""
        self.lock.run(self._book_rescued, store, number)

    def _book_rescued(self, store: Store, number: int) -> None:
        unbooked = store.count_overflowed() - self.account.overflowed
        self.book(NOTHING, overflowed=self.account.overflowed + min(number, unbooked))

    def count_request(self, number: int = 1, *, is_retry: bool = False) -> None:
        """Count requests; a retry is counted in both sums."""
        self.lock.run(self._count_request, number, is_retry=is_retry)

    def _count_request(self, number: int, *, is_retry: bool) -> None:
        self.requests += number
        self.retries += number if is_retry else 0

    def has_unreported(self) -> bool:
        """Tell whether the log itself lacks a notice of drops."""
        return bool(self.account.unreported)

    def take_unreported(self) -> Mapping[str, int]:
        """Return, once, the drops that no notice in the log has named."""
        return self.lock.run(self._take_unreported)

    def _take_unreported(self) -> Mapping[str, int]:
        lost = self.account.unreported
        self.book(NOTHING, unreported=_NONE)
        return lost

    def snapshot(self, store: Store, **fields: Any) -> Stats:
        """Return the numbers of one instant. Blocks for memory work only.

        Args:
            store: what waits.
            **fields: the other fields of `Stats`.
        """
        return self.lock.run(self._snapshot, store, fields)

    def _snapshot(self, store: Store, fields: Mapping[str, Any]) -> Stats:
        account, before, overflowed = self.account, -1, store.count_overflowed()
        while before != overflowed:  # an overflow between the two looks would be in neither
            before, waiting = overflowed, len(store) + store.count_aside()
            overflowed = store.count_overflowed()
        untold = {
            BUFFER_FULL: overflowed - account.overflowed,
            ENCODE: store.unencoded - account.unencoded,
        }
        dropped = summed(account.dropped, {k: v for k, v in untold.items() if v})
        pending = waiting + account.number()
        diverted = account.diverted
        settled = account.delivered + sum(diverted.values()) + sum(dropped.values())
        return Stats(
            accepted=settled + pending,
            delivered=account.delivered,
            diverted=MappingProxyType(dict(diverted)),
            dropped=MappingProxyType(dict(dropped)),
            requests=self.requests,
            retries=self.retries,
            pending=pending,
            # A signal handler may have raised between the booking and `settle`.
            pending_bytes=store.bytes if pending else 0,
            **fields,
        )
