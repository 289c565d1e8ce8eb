"""Adds up for `forklog recover` what was sent and what is left; gives the text that it prints."""

from __future__ import annotations

from dataclasses import dataclass, field

from forklog.stderr.printable import escaped


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
    unknown: int = 0
    """Entries of an unknown project, which stay. They are part of `left`, but in a dry run."""
    unfit: int = 0
    """Entries of a file that name no log or no project that there can be."""
    torn: int = 0
    """Pieces of entries that a kill has cut off."""
    others: int = 0
    """Lines of a file that are no entries, as of a captured stderr."""
    living: int = 0
    """Processes that log to this spool now, and send their entries themselves."""
    stopped: str = ""
    """Why it ended before all was tried; empty if it did not."""
    notes: list[str] = field(default_factory=list)
    """What else a person should know, a line each."""

    @property
    def has_left(self) -> bool:
        """Tell whether anything is left to do."""
        return bool(self.left or self.refused or self.unfit or self.notes or self.stopped)

    @property
    def has_begun(self) -> bool:
        """Tell whether any entry was tried or counted."""
        return bool(self.sent or self.refused or self.left or self.unknown)

    def add(self, **numbers: int) -> None:
        """Add to the sums, by their names."""
        for name, number in numbers.items():
            setattr(self, name, getattr(self, name) + number)

    def stop(self, reason: str) -> None:
        """Take note of why not all was tried."""
        self.stopped = reason

    def locate(self, path: str) -> None:
        """Take the whole path in place of what was given."""
        self.path = path

    def note(self, text: str) -> None:
        """Add a line, once."""
        if text not in self.notes:
            self.notes.append(text)

    def __str__(self) -> str:
        verb = "would send" if self.is_dry_run else "sent"
        number = self.left if self.is_dry_run else self.sent
        parts = [f"{verb} {counted(number)}"]
        if self.left and not self.is_dry_run:
            parts.append(f"{counted(self.left)} left")
        if self.unknown and self.is_dry_run:
            parts.append(f"{counted(self.unknown)} of an unknown project")
        if self.refused:
            parts.append(f"{counted(self.refused)} refused by the server")
        if self.unfit:
            parts.append(f"{counted(self.unfit)} without a valid log or project")
        if self.torn:
            parts.append(f"{self.torn} cut off by a kill")
        if self.others:
            parts.append(_others(self.others))
        if self.living:
            parts.append(_living(self.living))
        lines = [f"{self.path}: {', '.join(parts)}", *self.notes]
        if self.stopped:
            lines.append(f"ended before all was tried, the rest stays there: {self.stopped}")
        # Names in a folder and values in a head are other processes'.
        return "\n".join(map(escaped, lines))


def _others(number: int) -> str:
    return "1 line is no log entry" if number == 1 else f"{number} lines are no log entries"


def _living(number: int) -> str:
    if number == 1:
        return "1 living process sends its own"
    return f"{number} living processes send their own"


def counted(number: int) -> str:
    """Return a number of entries in words."""
    return f"{number} log {'entry' if number == 1 else 'entries'}"
