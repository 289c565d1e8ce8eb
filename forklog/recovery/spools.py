"""Recovers a folder: claims each spool of a dead process, sends its entries, removes it."""

from __future__ import annotations

from forklog.errors import OptionError
from forklog.insert_id import KEY_BYTES
from forklog.option_checks import check_endpoint, check_project
from forklog.options import Options
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.spool.adopter import envelope_of, settled_by
from forklog.spool.folder import Folder
from forklog.spool.format import LEFT_IMAGE, Fits, Head
from forklog.spool.orphan import Orphan
from forklog.spool.scan import scan
from forklog.transports.base import Kind
from forklog.transports.google.access import endpoint_of, known_project

_NO_IMAGE = "no image"  # this process owns no spool


def recover_spools(folder: Folder, options: Options, sending: Sending) -> Outcome:
    """Send what all dead processes have left; one after another.

    What names no project is sent to the one that the options or the environment name, and stays
    where they name none: the credentials' may be another's.

    Raises:
        WireError: no way to the server can be opened.
    """
    outcome = Outcome(folder.path, is_dry_run=sending.is_dry_run)
    project = known_project(options)
    endpoint = endpoint_of(options)
    fits = Fits(project, endpoint, takes_unknown=True)
    found = scan(folder, _NO_IMAGE, set(), fits)
    outcome.living = found.living
    for name in found.foreign:
        outcome.notes.append(f"{name}: {_whose(found.heads.get(name), project, endpoint)}")
    outcome.notes += [f"{name}: broken, or not this user's alone" for name in found.refused]
    if found.error is not None:
        outcome.notes.append(f"not all of it can be read: {found.error.strerror}")
    waiting = list(found.orphans)
    try:
        while waiting:
            orphan = waiting[0]
            if project is None and orphan.head.project is None:
                _count(orphan, outcome, "of an unknown project; give --project ID")
            elif sending.is_dry_run:
                _count(orphan, outcome, f"for the log {orphan.head.log_name}")
            else:
                _send_all(orphan, sending, outcome)
            waiting.pop(0)
    finally:
        for orphan in waiting:
            orphan.close()
    return outcome


def _whose(head: Head | None, project: str | None, endpoint: str) -> str:
    """Return whose a spool is that these options may not send, and the options that may."""
    if head is None:
        return "of another format; the forklog that has written it can send it"
    try:
        check_endpoint(head.endpoint)
        check_project(head.project)
    except OptionError:  # another process's content, which may be anything
        return "of a project or endpoint that is none"
    place = head.endpoint or "no endpoint, as a wire of the application's has"
    given = []
    if head.project not in (None, project) and project is not None:
        given.append(f"--project {head.project}")
    if head.endpoint not in (None, endpoint):
        given.append(f"--endpoint {head.endpoint}")
    text = f"of {f'project {head.project}' if head.project else 'an unknown project'} at {place}"
    return f"{text}; give {' '.join(given)}" if given else text


def _count(orphan: Orphan, outcome: Outcome, what: str) -> None:
    number = sum(1 for _ in orphan.entries())
    outcome.left += number
    outcome.torn += orphan.torn
    if number:
        how = "left at its end" if orphan.name.image == LEFT_IMAGE else "killed"
        outcome.notes.append(
            f"{orphan.name}: {number} log entries of process {orphan.head.pid} ({how},"
            f" {orphan.age:.0f} s ago) {what}"
        )
    orphan.close()


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
        if not settled and is_split and key not in postponed and orphan.postpone():
            postponed.add(key)
            continue
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
