"""Recovers a folder: claims each spool of a dead process, sends its entries, removes it."""

from __future__ import annotations

from forklog.insert_id import KEY_BYTES
from forklog.options import Options
from forklog.recovery.notes import BROKEN, VANISHED, notes_of, span
from forklog.recovery.outcome import Outcome, counted
from forklog.recovery.send import Sending
from forklog.spool.files import BAD
from forklog.spool.folder import Folder
from forklog.spool.head import LEFT_IMAGE, Fits
from forklog.spool.left.orphan import Orphan
from forklog.spool.left.refused import postpone
from forklog.spool.left.settling import envelope_of, settled_by
from forklog.spool.scan import scan
from forklog.transports.base import Kind
from forklog.transports.google.access import endpoint_of, known_project

_NO_IMAGE = "no image"  # this process owns no spool
_MOST_CLAIMED = 16  # orphans at a time: each holds a descriptor, and another call may take the rest


def recover_spools(folder: Folder, options: Options, sending: Sending, outcome: Outcome) -> None:
    """Send what all dead processes have left; one after another.

    What names no project is sent to the one that the options or the environment name. It stays
    where they name none: the credentials' may be another's. A dry run changes no file.

    Raises:
        OSError: the folder cannot be read.
    """
    project, endpoint = known_project(options), endpoint_of(options)
    fits = Fits(project, endpoint, takes_unknown=True)
    done: set[str] = set()  # prefixes
    notes: dict[str, str] = {}  # by the name of a file, of which one look may know more
    broken: set[str] = set()  # segments that have a line each by now
    has_more = True
    while has_more:
        found = scan(folder, _NO_IMAGE, done, fits, _MOST_CLAIMED, is_read_only=sending.is_dry_run)
        has_more = bool(found.orphans)  # fewer are found where no descriptor is free
        try:
            while found.orphans:
                done.add(found.orphans[0].name.prefix)
                _recover(found.orphans[0], sending, outcome, is_named=project is not None)
                broken.update(found.orphans[0].refused)
                found.orphans.pop(0)
        finally:
            for orphan in found.orphans:
                orphan.close()
        notes |= notes_of(folder, found, project, endpoint)
    outcome.add(living=found.living)
    for name, text in notes.items():
        if not (name.endswith(BAD) and name.removesuffix(BAD) in {*notes, *broken}):
            outcome.note(f"{name}: {text}")
    if found.error is not None:
        outcome.note(f"not all of it can be read: {found.error.strerror}")


def _recover(orphan: Orphan, sending: Sending, outcome: Outcome, *, is_named: bool) -> None:
    """Send an orphan, or count it; let go of it unless an exception strikes."""
    if not is_named and orphan.head.project is None:
        number = _count(orphan, outcome, "of an unknown project; give --project ID")
        outcome.add(unknown=number, left=-number if sending.is_dry_run else 0)
    elif sending.is_dry_run:
        _count(orphan, outcome, f"for the log {orphan.head.log_name}")
    elif sending.is_hopeless:
        _count(orphan, outcome, "were not tried, as none before them could be sent")
    else:
        _send_all(orphan, sending, outcome)
    for name in orphan.refused:
        outcome.note(f"{name}: {BROKEN}")
    for name in orphan.vanished:
        outcome.note(f"{name}: {VANISHED}")


def _count(orphan: Orphan, outcome: Outcome, what: str) -> int:
    """Count what is left of an orphan, let go of it, and return how many."""
    number = sum(1 for _ in orphan.entries())
    outcome.add(left=number, torn=orphan.torn)
    if number:
        how = "left at its end" if orphan.name.image == LEFT_IMAGE else "killed"
        outcome.note(
            f"{orphan.name}: {counted(number)} of process {orphan.head.pid} ({how},"
            f" {span(orphan.age)} ago) {what}"
        )
    orphan.close()
    return number


def _send_all(orphan: Orphan, sending: Sending, outcome: Outcome) -> None:
    envelope, limit = envelope_of(orphan.head), sending.max_entries
    postponed: set[bytes] = set()
    while batch := orphan.batch(limit, sending.max_bytes):
        number, key = len(batch), batch[0][:KEY_BYTES]
        verdict = sending.send(batch, envelope)
        is_split = verdict.kind is Kind.HALVE or sending.is_worth_splitting(verdict, number)
        if is_split and number > 1:
            limit = number // 2
            continue
        settled, refused = settled_by(verdict, number)
        if not settled and is_split and key not in postponed and postpone(orphan):
            postponed.add(key)
            continue
        if not settled:
            outcome.add(left=sum(1 for _ in orphan.entries()))
            outcome.note(f"{orphan.name}: {verdict.reason or 'the server took none'}")
            break
        orphan.settle(settled)
        outcome.add(sent=settled - refused, refused=refused)
        limit = sending.max_entries
    outcome.add(torn=orphan.torn)
    if orphan.is_empty() and not orphan.refused:
        orphan.remove()
    else:
        orphan.close()
