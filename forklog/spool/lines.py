"""Lines that several modules of the spool write to stderr; docs/troubleshooting.md has each."""

from __future__ import annotations

from forklog.delivery.base import Reporter


def say_off(report: Reporter, error: Exception) -> str:
    """Report that nothing is spooled, and why; return why."""
    text = f"the spool is off, entries wait in memory alone: {error}"
    report.say("spool", f"{text} (check the folder of the option spool)")
    return str(error)


def say_waiting(report: Reporter, error: OSError) -> None:
    """Report that nothing is spooled until there is room, or what else the system lacks."""
    text = f"the spool has no room yet, memory takes entries: {error.strerror or error}"
    report.say("spool", f"{text} (check the folder of the option spool)")


def say_lost(report: Reporter, path: str) -> None:
    """Report that the files of a spool in this folder are gone, and that others are made."""
    text = "the spool's files were removed or closed; new ones are made"
    report.say("spool-lost", f"{text}, exclude {path} from clean-up programs")


def say_left(report: Reporter, number: int, path: str) -> None:
    """Report how many entries wait for another process in this folder."""
    text = f"{number} log entries wait in the spool {path}; the next process that logs with"
    report.say("spool-left", f"{text} it sends them, or: forklog recover {path}")
