"""Joins parts of refused batches for one request, within its bounds; for `in_flight`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forklog.delivery.sending.batch import Batch


def first_parts(
    batches: Iterable[Batch], most: int, max_entries: int, max_bytes: int, since: int = 0
) -> list[Batch]:
    """Return the first batches, as far as a request holds them; none from one that stands out on.

    Args:
        batches: what is in flight.
        most: so many at most.
        max_entries: bound of a request.
        max_bytes: bound of a request.
        since: one that was refused before so many passes stands out.
    """
    run: list[Batch] = []
    entries = size = 0
    for batch in batches:
        entries, size = entries + len(batch.entries), size + batch.size
        is_fitting = entries <= max_entries and size <= max_bytes
        is_early = batch.since is not None and batch.since < since
        stands_out = is_early or not batch.is_part or bool(batch.strikes)
        if len(run) == most or not is_fitting or stands_out:
            break
        run.append(batch)
    return run


def joined(run: Sequence[Batch]) -> Batch:
    """Return one part of several; a refusal splits it again."""
    return Batch(
        _entries_of(run),
        since=min((b.since for b in run if b.since is not None), default=None),
        is_part=True,
        is_probe=any(batch.is_probe for batch in run),
    )


def renewed(run: Sequence[Batch], since: int) -> Batch:
    """Return a batch of all that an outage has refused: nothing is known of it, others may join."""
    return Batch(_entries_of(run), since=since, is_open=True)


def _entries_of(run: Sequence[Batch]) -> list[bytes]:
    return sorted(entry for batch in run for entry in batch.entries)
