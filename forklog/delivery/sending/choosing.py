"""Chooses for the sender what the next request holds: new, refused or set-aside entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forklog.delivery.sending.in_flight import PATIENCE, InFlight
from forklog.transports.base import Kind

if TYPE_CHECKING:
    from forklog.delivery.base import Store
    from forklog.delivery.sending.aside import Aside
    from forklog.delivery.sending.batch import Batch
    from forklog.delivery.sending.pacing import Pacing
    from forklog.options import Options
    from forklog.transports.base import Verdict

_BRIEF = 2 * PATIENCE  # refusals in a row that are retried soon, where others were delivered lately


class Choosing:
    """What goes into the next request of one sender. For whoever runs passes, one at a time."""

    def __init__(
        self, options: Options, buffer: Store, in_flight: InFlight, aside: Aside, pacing: Pacing
    ) -> None:
        """Choose nothing yet."""
        self._options, self._buffer, self._in_flight = options, buffer, in_flight
        self._aside, self._pacing = aside, pacing
        # So that an overflow finds enough to choose from by severity, whatever the options are.
        self._share_bytes = options.max_buffer_bytes // 4

    def next_batch(self, is_hurried: bool) -> Batch | None:  # noqa: FBT001 - called by the lock
        """Return what to send next. Under the ledger's lock."""
        in_flight = self._in_flight
        in_flight.drop_empty()
        is_late = is_hurried and self._buffer.has_waiting()
        if not in_flight.batches and self._aside.is_next() and not is_late:
            bounds = self._options.max_batch_entries, self._room(0)
            self._aside.take(in_flight.begin(is_aside=True).entries, *bounds)
        elif batch := in_flight.to_fill():
            self._fill(batch)
        in_flight.drop_empty()
        return in_flight.first() if in_flight.batches else None

    def _fill(self, batch: Batch) -> None:
        """Move new entries to a batch, as far as a request holds them, one at least if empty."""
        number = self._options.max_batch_entries - len(batch.entries)
        room = self._room(batch.size)
        if batch.is_probe:
            number = min(number, self._in_flight.max_probe_entries())
            if (number == 1 or room <= 0) and room + self._share_bytes // 2 > 0:
                self._take_one(batch.entries)
                return
        elif not batch.entries:
            room = max(1, room)
        if number > 0 and room > 0:
            self._buffer.take(batch.entries, number, room)

    def _take_one(self, into: list[bytes]) -> None:
        """Take the newest entry and, while all are refused, the oldest in turns.

        What was logged with a culprit may be another one, and so may what is logged now.
        """
        if self._in_flight.refusals // PATIENCE % 2:
            self._buffer.take_newest(into)
        else:
            self._buffer.take(into, 1, 1)

    def _room(self, size: int) -> int:
        """Return the bytes that may join a batch of this size."""
        left = self._share_bytes - self._in_flight.size()
        return min(self._pacing.max_batch_bytes() - size, left)

    def attempts_of(self, batch: Batch, verdict: Verdict) -> int:
        """Return how often a refused batch was sent, for the delay; zero if others pass.

        At the pace of a blocked wire the next request is of another entry already.
        """
        if self.is_suspect(batch, verdict) or self._may_be_content(verdict):
            return 0
        if verdict.kind is Kind.BLOCKED and verdict.is_of_content:
            self._in_flight.want_other()
        return batch.attempts

    def is_suspect(self, batch: Batch, verdict: Verdict) -> bool:
        """Tell whether the content is likely to be why, since others were delivered meanwhile."""
        return verdict.is_of_content and self._in_flight.is_suspect(batch)

    def _may_be_content(self, verdict: Verdict) -> bool:
        """Tell whether a refusal may be a record's fault, because others were delivered lately."""
        is_early = self._in_flight.refusals <= _BRIEF
        return verdict.is_of_content and is_early and self._pacing.has_just_delivered()
