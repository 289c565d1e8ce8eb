"""The buffer behind a spool: takes entries set aside, and those the spool has no room for."""

from __future__ import annotations

from typing import Protocol

from forklog.delivery.base import Store


class Lanes(Store, Protocol):
    """The buffer: a store that counts what was taken from elsewhere."""

    def count_taken(self, size: int) -> None:
        """Count bytes that were taken from elsewhere, until `settle`."""

    def snapshot(self, *, is_aside: bool = False) -> list[tuple[int, bytes]]:
        """Return copies of all (rank, entry) that wait, or that were set aside; remove none."""

    def forget(self, rank: int, entry: bytes) -> bool:
        """Remove an entry that is held elsewhere now; tell whether it was there."""


class OverLanes:
    """The half of a spool that is the lanes': what was set aside, what overflows, their bounds."""

    def __init__(self, lanes: Lanes) -> None:
        """Stand before the buffer."""
        self._lanes = lanes
        self.spooled_bytes = 0
        """Wire bytes of the entries that stand in segments and were not taken."""

    def put_aside(self, rank: int, entries: list[bytes]) -> None:
        """Put the first entry of a list aside, in memory."""
        self._lanes.put_aside(rank, entries)

    def take_aside(self, into: list[bytes], rank: int = 0) -> None:
        """Move one entry that was set aside to a list."""
        self._lanes.take_aside(into, rank)

    def count_aside(self) -> int:
        """Return the number of entries that were set aside."""
        return self._lanes.count_aside()

    def aside_bytes(self) -> int:
        """Return the wire bytes of the entries that were set aside."""
        return self._lanes.aside_bytes()

    def oldest_aside(self) -> bytes:
        """Return the oldest entry that was set aside."""
        return self._lanes.oldest_aside()

    def count_overflowed(self) -> int:
        """Return the number of entries that overflows have dropped so far."""
        return self._lanes.count_overflowed()

    @property
    def max_bytes(self) -> int:
        """Return the bound of what is in memory."""
        return self._lanes.max_bytes

    @property
    def unencoded(self) -> int:
        """Return the number of records that became no entry."""
        return self._lanes.unencoded

    @property
    def bytes(self) -> int:
        """Return the wire bytes that wait, or were taken and are not settled."""
        return self._lanes.bytes + self.spooled_bytes
