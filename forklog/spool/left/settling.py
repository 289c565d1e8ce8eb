"""Tells the adopter how to send a dead process's entries, and how many a verdict settles.

Pure. Used by the adopter, and by `forklog recover`.
"""

from __future__ import annotations

from forklog.spool.head import Head
from forklog.transports.base import Envelope, Kind, Verdict


def settled_by(verdict: Verdict, number: int) -> tuple[int, int]:
    """Return how many entries at the head of a batch are settled, and how many of them refused.

    Args:
        verdict: of a batch; one that is to be halved has one entry.
        number: of its entries.
    """
    if verdict.kind in (Kind.RETRY, Kind.BLOCKED):
        return 0, 0
    if verdict.kind is Kind.HALVE:
        return 1, 1
    settled = min(verdict.again, default=number)  # what follows is sent once more, and shown once
    return settled, sum(index < settled for index in verdict.refused)


def envelope_of(head: Head) -> Envelope:
    """Return log, labels and resource of a dead process's entries."""
    return Envelope(head.log_name, head.labels, head.resource, head.project)
