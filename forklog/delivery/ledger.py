"""The ledger of one pipeline: every counter of its entries, and the lock that covers them.

For a reader who holds the lock each entry is in one place: taken and not settled, or settled.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Protocol

from forklog.delivery.buffer import Buffer
from forklog.snapshot import Stats


class Overflow(Protocol):
    """What the logging threads dropped, as far as the ledger has booked it."""

    told: int
    """Entries that the buffer has shed."""
    told_unencoded: int
    """Records that became no entry."""


class Ledger:
    """Count what becomes of entries. `lock` is held for memory work only."""

    def __init__(self) -> None:
        """Begin with zero."""
        self.lock = threading.RLock()
        self.taken = 0
        """Entries that left the buffer, those in hand included."""
        self.delivered = 0
        self.requests = 0
        self.retries = 0
        self.diverted: Counter[str] = Counter()
        """Entries that were written elsewhere, by place."""
        self.dropped: Counter[str] = Counter()
        """Entries that were given up, by reason."""
        self._unreported: Counter[str] = Counter()

    def take(self, number: int) -> None:
        """Count entries that left the buffer; a negative number gives them back."""
        with self.lock:
            self.taken += number

    def settle(self, number: int, *, is_diverted: bool = False) -> None:
        """Count entries that the server has confirmed, or that were written to stderr."""
        with self.lock:
            if is_diverted:
                self.diverted["stderr"] += number
            else:
                self.delivered += number

    def drop(self, reason: str, number: int, *, is_new: bool = False) -> None:
        """Count dropped entries; new ones are counted as taken, too, since no buffer held them."""
        if number:
            with self.lock:
                self.taken += number if is_new else 0
                self.dropped[reason] += number
                self._unreported[reason] += number

    def count_request(self, number: int = 1, *, is_retry: bool = False) -> None:
        """Count requests; a retry is counted in both sums."""
        with self.lock:
            self.requests += number
            self.retries += number if is_retry else 0

    def has_unreported(self) -> bool:
        """Tell whether the log itself lacks a notice of drops."""
        return bool(self._unreported)

    def take_unreported(self) -> Counter[str]:
        """Return, once, the drops that no notice in the log has named."""
        with self.lock:
            lost, self._unreported = self._unreported, Counter()
        return lost

    def snapshot(
        self, buffer: Buffer, in_flight: Callable[[], int], overflow: Overflow, **fields: Any
    ) -> Stats:
        """Return the numbers of one instant. Blocks for memory work only.

        Args:
            buffer: what waits.
            in_flight: returns the number of entries in flight.
            overflow: tells how much of what the logging threads dropped is booked here.
            **fields: the other fields of `Stats`.
        """
        with self.lock:
            shed, waiting = buffer.shed.value(), len(buffer) + buffer.count_aside()
            dropped = dict(self.dropped)
            if shed > overflow.told:
                untold = shed - overflow.told
                dropped["buffer_full"] = dropped.get("buffer_full", 0) + untold
            unencoded = buffer.unencoded - overflow.told_unencoded
            if unencoded:
                dropped["encode"] = dropped.get("encode", 0) + unencoded
            return Stats(
                accepted=self.taken + unencoded + shed + waiting,
                delivered=self.delivered,
                diverted=MappingProxyType(dict(self.diverted)),
                dropped=MappingProxyType(dropped),
                requests=self.requests,
                retries=self.retries,
                pending=waiting + in_flight(),
                pending_bytes=buffer.bytes,
                **fields,
            )
