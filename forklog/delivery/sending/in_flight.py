"""The hand: the batches that were taken and are not settled, and which one is sent next.

A server, or a firewall before it, may refuse a request for what one of its entries holds, with an
answer that an outage gives as well. A batch that was refused three times is split, and an entry
that is refused alone while others are delivered is set aside. Pure: no wire, clock, thread or lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PATIENCE = 3  # refusals of the same bytes before they are split, or set aside


@dataclass(slots=True, eq=False)
class Batch:
    """Entries that travel together, unchanged, until they are settled or split."""

    entries: list[bytes]
    attempts: int = 0
    refusals: int = 0
    strikes: int = 0
    """Refusals of one entry alone, or by its name, after which others were delivered."""
    since: int | None = None
    """`InFlight.passes` when these entries were refused first."""
    is_part: bool = False
    """Split off: one more refusal splits it again."""
    is_probe: bool = False
    """Taken from the buffer while others were in hand, or a part of that."""
    is_aside: bool = False
    """An entry that was set aside, tried alone."""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        """Add up the wire bytes once."""
        self.size = sum(map(len, self.entries))


class InFlight:
    """The batches in hand; the one that is being sent is the first. For one thread at a time.

    After a refusal that splits, what no request has held yet goes first: whether it is delivered
    tells a fault of the content from a fault of the wire. The parts follow, each split further
    when it is refused. Once requests pass again, parts are joined: one, then two, four and so on.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        """Hold nothing; the bounds are those of a request."""
        self.batches: deque[Batch] = deque()
        self.passes = 0
        """Requests of which something was delivered."""
        self.refusals = 0
        """Refusals in a row since the last of them."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._row = 0  # passes in a row
        self._wants_other = False

    def add(self, entries: list[bytes], *, is_aside: bool = False) -> None:
        """Put new entries first."""
        is_probe = bool(self.batches)
        self._wants_other = False
        batch = Batch(entries, is_probe=is_probe, is_part=is_probe, is_aside=is_aside)
        self.batches.appendleft(batch)

    def wants_other(self) -> bool:
        """Tell whether entries that were never refused are to go next; one such batch at a time."""
        return self._wants_other and not any(batch.is_probe for batch in self.batches)

    def first(self) -> Batch:
        """Return the batch to send next; parts are joined while requests pass."""
        if self._row > 1:
            self._join(1 << min(self._row - 1, 16))
        return self.batches[0]

    def is_suspect(self, batch: Batch) -> bool:
        """Tell whether others were delivered since the batch was refused first."""
        return batch.since is not None and self.passes > batch.since

    def passed(self) -> None:
        """Take note that the first batch is settled; remove it."""
        self.batches.popleft()
        self.passes += 1
        self._row += 1
        self.refusals = 0
        self._wants_other = False

    def passed_in_part(self, again: list[bytes]) -> list[bytes]:
        """Keep of the first batch what is to be sent again; return what is to be set aside."""
        batch, before = self.batches[0], self.passes
        self.passed()
        self._row = 0
        since = before if batch.since is None else batch.since
        refusals, strikes = batch.refusals + 1, batch.strikes + 1
        if strikes >= PATIENCE:
            return again
        self.batches.appendleft(Batch(again, batch.attempts, refusals, strikes, since))
        return []

    def keep(self, again: list[bytes]) -> None:
        """Keep of the first batch what is to be sent again; its content is not to blame."""
        batch = self.batches.popleft()
        self.batches.appendleft(Batch(again, batch.attempts, since=batch.since))

    def put_off(self) -> None:
        """Take note of a refusal that has nothing to do with the content."""
        self.refusals += 1
        self._row = 0

    def refused(self, *, is_named: bool = False) -> list[bytes]:
        """Take note that the first batch was refused; return what is to be set aside.

        Args:
            is_named: the server named each of its entries.
        """
        self.put_off()
        batch = self.batches[0]
        batch.refusals += 1
        if batch.since is None:
            batch.since = self.passes
        is_alone = is_named or len(batch.entries) == 1
        batch.strikes += is_alone and self.is_suspect(batch)
        if batch.refusals < (1 if batch.is_part else PATIENCE):
            return []
        self._wants_other = True
        if batch.strikes >= PATIENCE:
            self.batches.popleft()
            return batch.entries
        if len(batch.entries) > 1 and not batch.strikes:
            self.batches.extend(self._halves(is_part=True))
        else:
            batch.is_part = True
            self.batches.rotate(-1)
        return []

    def halve(self) -> None:
        """Send the halves of the first batch next: the server says that its content is wrong."""
        self.batches.extendleft(reversed(self._halves(is_part=self.batches[0].is_part)))

    def _halves(self, *, is_part: bool) -> tuple[Batch, Batch]:
        batch = self.batches.popleft()
        middle = len(batch.entries) // 2
        first, second = (
            Batch(half, since=batch.since, is_part=is_part, is_probe=batch.is_probe)
            for half in (batch.entries[:middle], batch.entries[middle:])
        )
        return first, second

    def _join(self, most: int) -> None:
        """Join the first parts, as far as a request holds them; never one that stands out."""
        run: list[Batch] = []
        entries = size = 0
        for batch in self.batches:
            entries, size = entries + len(batch.entries), size + batch.size
            is_fitting = entries <= self._max_entries and size <= self._max_bytes
            if len(run) == most or not is_fitting or not batch.is_part or batch.strikes:
                break
            run.append(batch)
        if len(run) > 1:
            for _ in run:
                self.batches.popleft()
            joined = Batch(
                sorted(entry for batch in run for entry in batch.entries),
                since=min((b.since for b in run if b.since is not None), default=None),
                is_part=True,
                is_probe=any(batch.is_probe for batch in run),
            )
            self.batches.appendleft(joined)

    def size(self) -> int:
        """Return the wire bytes in hand."""
        return sum(batch.size for batch in self.batches)

    def count(self) -> int:
        """Return the number of entries in hand."""
        return sum(len(batch.entries) for batch in self.batches)

    def oldest(self) -> list[bytes]:
        """Return the oldest entry of each batch."""
        return [min(batch.entries) for batch in self.batches]

    def give_up(self) -> list[bytes]:
        """Remove and return all entries, oldest first."""
        entries = sorted(entry for batch in self.batches for entry in batch.entries)
        self.batches.clear()
        self._wants_other = False
        return entries
