"""What the server has counted since it started or was reset; write adds, the server shows."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """Counters that only grow, each written by one thread.

    `requests` to `faults` belong to the event loop, the `entries_` ones and below to the worker.

    Attributes:
        requests: calls below /v2/, whatever became of them.
        bytes: body bytes of those calls, unpacked.
        faults: calls that met an armed fault.
        writes: calls of entries:write that were read as JSON.
        entries_received: entries in them.
        entries_stored: of these, accepted and kept, duplicates included.
        duplicates: of the stored ones, those equal to an entry that was there.
        refused: of the received ones, those answered with an error.
        expired: accepted, but older than the retention and so not kept.
        dry_run: accepted in a dry run and so not kept.

    """

    requests: int = 0
    bytes: int = 0
    faults: int = 0
    writes: int = 0
    entries_received: int = 0
    entries_stored: int = 0
    duplicates: int = 0
    refused: int = 0
    expired: int = 0
    dry_run: int = 0

    def add(self, **numbers: int) -> None:
        """Add to counters, by their names; the others are not touched."""
        for name, number in numbers.items():
            setattr(self, name, getattr(self, name) + number)

    def clear(self) -> None:
        """Count from zero again."""
        for field in fields(self):
            setattr(self, field.name, 0)
