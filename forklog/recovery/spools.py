"""Recovers a folder: claims each spool of a dead process, sends its entries, removes it."""

from __future__ import annotations

from forklog.options import Options
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.spool.adopter import envelope_of, settled_by
from forklog.spool.folder import Folder
from forklog.spool.format import LEFT_IMAGE
from forklog.spool.orphan import Orphan
from forklog.spool.scan import Fits, scan
from forklog.transports.base import Kind
from forklog.transports.google.access import endpoint_of, known_project

_NO_IMAGE = "no image"  # this process owns no spool


def recover_spools(folder: Folder, options: Options, sending: Sending) -> Outcome:
    """Send what all dead processes have left; one after another.

    Raises:
        WireError: no way to the server can be opened.
    """
    outcome = Outcome(folder.path, is_dry_run=sending.is_dry_run)
    fits = Fits(known_project(options), endpoint_of(options), takes_unknown=True)
    found = scan(folder, _NO_IMAGE, set(), fits)
    outcome.living = found.living
    outcome.notes += [f"{name}: of another project, endpoint or format" for name in found.foreign]
    outcome.notes += [f"{name}: broken, or not this user's alone" for name in found.refused]
    waiting = list(found.orphans)
    try:
        while waiting:
            orphan = waiting[0]
            if sending.is_dry_run:
                _count(orphan, outcome)
            else:
                _send_all(orphan, sending, outcome)
            waiting.pop(0)
    finally:
        for orphan in waiting:
            orphan.close()
    return outcome


def _count(orphan: Orphan, outcome: Outcome) -> None:
    number = sum(1 for _ in orphan.entries())
    outcome.left += number
    outcome.torn += orphan.torn
    if number:
        how = "left at its end" if orphan.name.image == LEFT_IMAGE else "killed"
        outcome.notes.append(
            f"{orphan.name}: {number} log entries of process {orphan.head.pid} ({how},"
            f" {orphan.age:.0f} s ago) for the log {orphan.head.log_name}"
        )
    orphan.close()


def _send_all(orphan: Orphan, sending: Sending, outcome: Outcome) -> None:
    envelope, limit = envelope_of(orphan.head), sending.max_entries
    while batch := orphan.batch(limit, sending.max_bytes):
        verdict = sending.send(batch, envelope)
        if verdict.kind is Kind.HALVE and len(batch) > 1:
            limit = len(batch) // 2
            continue
        settled, refused = settled_by(verdict, len(batch))
        if not settled:
            outcome.left += sum(1 for _ in orphan.entries())
            outcome.notes.append(f"{orphan.name}: {verdict.reason or 'the server took none'}")
            orphan.close()
            return
        orphan.settle(settled)
        outcome.sent += settled - refused
        outcome.refused += refused
        limit = sending.max_entries
    outcome.torn += orphan.torn
    outcome.notes += [f"{name}: broken, or not this user's alone" for name in orphan.refused]
    if orphan.is_empty() and not orphan.refused:
        orphan.remove()
    else:
        orphan.close()
