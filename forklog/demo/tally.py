"""Compares the ledger of the demo's application with what the emulator shows, for `trial`. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_ID_IN_TEXT = re.compile(r"\bid=(\S+)")
_BOOT = "boot-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The counts of one server's life.

    Args:
        logged: records that the application wrote down.
        delivered: those of them that arrived, each counted once.
        duplicated: arrivals beyond the first, shown or removed by the emulator.
        strays: entries that the application did not write down.
        boot_logged: records logged while the application was imported.
        boot_delivered: those of them that arrived.

    """

    logged: int
    delivered: int
    duplicated: int
    strays: int
    boot_logged: int
    boot_delivered: int

    @property
    def lost(self) -> int:
        """Records logged that never arrived."""
        return self.logged - self.delivered


def read_ledger(text: str) -> list[str]:
    """Return the record ids of a ledger; each line is a PID and an id."""
    return [line.split()[1] for line in text.splitlines()]


def record_id(entry: Mapping[str, Any]) -> str | None:
    """Find the example's record id in an entry: in a label, a field or the text."""
    payload = entry.get("jsonPayload", {})
    for place in (entry.get("labels", {}), payload):
        if "id" in place:
            return str(place["id"])
    text = entry.get("textPayload") or payload.get("message") or ""
    found = _ID_IN_TEXT.search(text)
    return found[1] if found else None


def compare(
    ledger: Sequence[str], entries: Iterable[Mapping[str, Any]], copies: Iterable[int]
) -> Tally:
    """Compare the ids of a ledger with the entries that arrived.

    Args:
        ledger: an id for each record logged.
        entries: as the emulator lists them, which shows equal ones once.
        copies: how often each entry was stored that was stored more than once.

    """
    logged = set(ledger)
    shown = Counter(record_id(entry) for entry in entries)
    arrived = {name for name in shown if name in logged}
    return Tally(
        logged=len(logged),
        delivered=len(arrived),
        duplicated=sum(shown[name] - 1 for name in arrived) + sum(count - 1 for count in copies),
        strays=sum(count for name, count in shown.items() if name not in logged),
        boot_logged=sum(name.startswith(_BOOT) for name in logged),
        boot_delivered=sum(name.startswith(_BOOT) for name in arrived if name),
    )
