"""What a recovery has done: numbers, and the text that is printed of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """The sums of one recovery."""

    path: str
    is_dry_run: bool = False
    sent: int = 0
    """Entries that the server has confirmed."""
    refused: int = 0
    """Entries that it will never take."""
    left: int = 0
    """Entries that are still there; in a dry run, all that would be sent."""
    torn: int = 0
    """Pieces of entries that a kill has cut off."""
    others: int = 0
    """Lines of a file that are no entries, as of a captured stderr."""
    living: int = 0
    """Processes that log to this spool now, and send their entries themselves."""
    notes: list[str] = field(default_factory=list)
    """What else a person should know, a line each."""

    @property
    def has_left(self) -> bool:
        """Tell whether anything is left to do."""
        return bool(self.left or self.refused or self.notes)

    def __str__(self) -> str:
        verb = "would send" if self.is_dry_run else "sent"
        number = self.left if self.is_dry_run else self.sent
        parts = [f"{verb} {_counted(number)}"]
        if self.left and not self.is_dry_run:
            parts.append(f"{_counted(self.left)} left")
        if self.refused:
            parts.append(f"{_counted(self.refused)} refused by the server")
        if self.torn:
            parts.append(f"{self.torn} cut off by a kill")
        if self.others:
            parts.append(_others(self.others))
        if self.living:
            parts.append(f"{self.living} living processes send their own")
        return "\n".join([f"{self.path}: {', '.join(parts)}", *self.notes])


def _others(number: int) -> str:
    return "1 line is no log entry" if number == 1 else f"{number} lines are no log entries"


def _counted(number: int) -> str:
    return f"{number} log {'entry' if number == 1 else 'entries'}"
