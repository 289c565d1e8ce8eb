"""One batch: the entries that the sender sends in one request, and how often it was refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Batch:
    """Entries that travel together until they are settled or split. None changes once taken."""

    entries: list[bytes]
    attempts: int = 0
    refusals: int = 0
    strikes: int = 0
    """Refusals of one entry alone, or by its name, after which others were delivered."""
    since: int | None = None
    """`InFlight.passes` when these entries were refused first."""
    is_part: bool = False
    """Split off: one more refusal splits it again."""
    is_probe: bool = False
    """Taken from the buffer while others were in flight, or a part of that."""
    is_aside: bool = False
    """An entry that was set aside, tried alone."""
    is_open: bool = False
    """A quota refused it, or an outage that has ended: new entries may join it."""

    def count_attempt(self) -> None:
        """Count one more request that holds these entries."""
        self.attempts += 1

    def count_refusal(self, passes: int, *, is_strike: bool) -> None:
        """Count one more refusal; ``passes`` is `InFlight.passes` now."""
        self.refusals += 1
        self.strikes += is_strike
        if self.since is None:
            self.since = passes

    def become_part(self) -> None:
        """Have one more refusal split it, or set it aside."""
        self.is_part = True

    def open(self, *, is_open: bool) -> None:
        """Let new entries join, or no more."""
        self.is_open = is_open

    @property
    def size(self) -> int:
        """Return the wire bytes."""
        return sum(map(len, self.entries))
