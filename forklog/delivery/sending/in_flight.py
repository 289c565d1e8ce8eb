"""The batches that the sender took and has not settled; chooses the next, splits refused ones.

A server, or a firewall before it, may refuse a request for what one of its entries holds. It gives
an answer that an outage gives as well. A batch that was refused three times is split, and an entry
that is refused alone while others are delivered is set aside. The batches stand in the ledger's
account: here is the judgement, without wire, clock or thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from forklog.delivery.ledger import NOTHING, Booking, Ledger
from forklog.delivery.sending.batch import Batch
from forklog.delivery.sending.joining import first_parts, joined, renewed

PATIENCE = 3  # refusals of the same bytes before they are split, or set aside
_OUTAGE = 2 * PATIENCE  # refusals in a row; what passes then ends an outage


class InFlight:
    """The batches in flight; the one that is being sent is the first. For one thread at a time.

    Where batches are settled or split, the deque is replaced, in one step, see `Ledger`.

    After a refusal that splits, what no request has held yet goes first. Whether it is delivered
    tells a fault of the content from a fault of the wire. The parts follow, each split further when
    it is refused. Once requests pass again, parts are joined: one, then two, four and so on. Where
    the first that passes ends an outage, all that is left of it is one batch again, once. The parts
    of a culprit in it do not qualify a second time.
    """

    def __init__(self, max_entries: int, max_bytes: int, ledger: Ledger) -> None:
        """Hold nothing; the bounds are those of a request."""
        self._ledger = ledger
        self.passes = 0
        """Requests of which something was delivered or diverted."""
        self.refusals = 0
        """Refusals in a row since the last of them."""
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._row = 0  # passes in a row
        self._outage: int | None = None  # `passes` throughout one that has just ended
        self._wants_other = False
        self._probe_entries = 1  # fewer are less likely to hold another culprit

    @property
    def batches(self) -> deque[Batch]:
        """Return the batches; the first is sent next."""
        return self._ledger.account.batches

    def _replace(self, batches: Iterable[Batch], booking: Booking = NOTHING) -> None:
        """Have other batches in flight, and book what became of entries, in one step."""
        self._ledger.book(booking, batches=deque(batches))

    def begin(self, *, is_aside: bool = False) -> Batch:
        """Put a new batch first and return it, empty, to be filled."""
        is_probe = bool(self.batches)
        self._wants_other = False
        batch = Batch([], is_probe=is_probe, is_part=is_probe, is_aside=is_aside)
        self.batches.appendleft(batch)
        return batch

    def drop_empty(self) -> None:
        """Remove what was begun and not filled."""
        while self.batches and not self.batches[0].entries:
            self.batches.popleft()

    def to_fill(self) -> Batch | None:
        """Return the batch that new entries go to: a new one, or one that may be filled up."""
        self.drop_empty()
        self._renew()
        batches = self.batches
        if not batches or self.wants_other():
            return self.begin()
        batch = batches[0] if len(batches) == 1 else None
        is_plain = batch is not None and not (batch.is_part or batch.is_aside or batch.refusals)
        return batch if batch is not None and is_plain and batch.is_open else None

    def wants_other(self) -> bool:
        """Tell whether entries that were never refused are to go next; one such batch at a time.

        All in flight may be culprits, the probe too. So one more entry is taken, alone, each time
        that a few requests more were refused in a row.
        """
        has_probe = any(batch.is_probe for batch in self.batches)
        return self._wants_other and not (has_probe and self.refusals % PATIENCE)

    def want_other(self) -> None:
        """Have entries that were never refused go next, if no such batch is in flight."""
        self._wants_other = True

    def max_probe_entries(self) -> int:
        """Return how many entries the next probe holds: twice as many after each that passes."""
        return self._probe_entries

    def first(self) -> Batch:
        """Return the batch to send next; parts are joined while requests pass."""
        if self._row > 1:
            self._join(1 << min(self._row - 1, 16))
        return self.batches[0]

    def is_suspect(self, batch: Batch) -> bool:
        """Tell whether others were delivered since the batch was refused first."""
        return batch.since is not None and self.passes > batch.since

    def passed(self, booking: Booking = NOTHING, *, is_taken: bool = True) -> None:
        """Take note that the first batch is settled; remove it and book it in one step.

        Args:
            booking: what became of it.
            is_taken: something of it was delivered, which is what tells a fault of the wire.
        """
        if is_taken:
            self._take_note()
            if self.batches[0].is_probe:
                self._probe_entries = min(2 * self._probe_entries, self._max_entries)
        self._replace(self._rest(), booking)

    def passed_in_part(self, again: list[bytes], booking: Booking = NOTHING) -> bool:
        """Keep of the first batch what is to be sent again; tell whether to set that aside."""
        batch, before = self.batches[0], self.passes
        self._take_note()
        self._row = 0
        since = before if batch.since is None else batch.since
        refusals, strikes = batch.refusals + 1, batch.strikes + 1
        kept = Batch(again, batch.attempts, refusals, strikes, since)
        self._replace((kept, *self._rest()), booking)
        return strikes >= PATIENCE

    def keep(self, again: list[bytes], booking: Booking = NOTHING) -> None:
        """Keep of the first batch what is to be sent again; its content is not to blame."""
        batch = self.batches[0]
        self._replace((Batch(again, batch.attempts, since=batch.since), *self._rest()), booking)

    def remove(self) -> None:
        """Remove the first batch, which is in another place now."""
        self.batches.popleft()

    def _take_note(self) -> None:
        self._outage = self.passes if self.refusals > _OUTAGE else None
        self.passes += 1
        self._row += 1
        self.refusals = 0
        self._wants_other = False

    def _rest(self) -> list[Batch]:
        return list(self.batches)[1:]

    def put_off(self) -> None:
        """Take note of a refusal that has nothing to do with the content."""
        self.refusals += 1
        self._row = 0

    def refused(self, *, is_named: bool = False) -> bool:
        """Take note that the first batch was refused; tell whether to set it aside.

        Args:
            is_named: the server named each of its entries.
        """
        self.put_off()
        batch = self.batches[0]
        is_fresh = batch.is_probe and batch.since is None
        self._probe_entries = 1 if is_fresh else self._probe_entries
        is_alone = is_named or len(batch.entries) == 1
        batch.count_refusal(self.passes, is_strike=is_alone and self.is_suspect(batch))
        if batch.refusals < (1 if batch.is_part else PATIENCE):
            return False
        self._wants_other = True
        if batch.strikes >= PATIENCE:
            return True
        if len(batch.entries) > 1 and not batch.strikes:
            self._replace((*self._rest(), *self._halves(is_part=True)))
        else:
            batch.become_part()
            self.batches.rotate(-1)
        return False

    def halve(self) -> None:
        """Send the halves of the first batch next: the server says that its content is wrong."""
        self._row = 0  # else they would be joined again
        self._replace((*self._halves(is_part=self.batches[0].is_part), *self._rest()))

    def _halves(self, *, is_part: bool) -> tuple[Batch, Batch]:
        batch = self.batches[0]
        middle = len(batch.entries) // 2
        first, second = (
            Batch(half, since=batch.since, is_part=is_part, is_probe=batch.is_probe)
            for half in (batch.entries[:middle], batch.entries[middle:])
        )
        return first, second

    def _join(self, most: int) -> None:
        run = first_parts(self.batches, most, self._max_entries, self._max_bytes)
        if len(run) > 1:
            self._replace((joined(run), *list(self.batches)[len(run) :]))

    def _renew(self) -> None:
        """Have what an outage has refused in one batch again, which new entries may join."""
        since, self._outage = self._outage, None
        if since is None:
            return
        bounds = len(self.batches), self._max_entries, self._max_bytes
        run = first_parts(self.batches, *bounds, since)
        if run:
            self._replace((renewed(run, since), *list(self.batches)[len(run) :]))

    def size(self) -> int:
        """Return the wire bytes in flight."""
        return sum(batch.size for batch in self.batches)

    def oldest(self) -> list[bytes]:
        """Return the oldest entry of each batch."""
        return [min(batch.entries) for batch in self.batches if batch.entries]

    def leave(self, into: list[bytes]) -> None:
        """Move all entries to a list, oldest first; the account has the list among what leaves."""
        into.extend(sorted(entry for batch in self.batches for entry in batch.entries))
        self._wants_other = False
        leaving = (*self._ledger.account.leaving, into)
        self._ledger.book(NOTHING, batches=deque(), leaving=leaving)

    def left(self, entries: list[bytes], booking: Booking) -> bool:
        """Book a list that leaves; tell whether none is in flight and none leaves any more."""
        leaving = self._leaving_without(entries)
        self._ledger.book(booking, leaving=leaving)
        return not leaving and not self.batches

    def stay(self, entries: list[bytes]) -> None:
        """Have a list in flight again, if it has not left."""
        leaving = self._leaving_without(entries)
        if len(leaving) < len(self._ledger.account.leaving):
            batches = deque((Batch(entries), *self.batches))
            self._ledger.book(NOTHING, leaving=leaving, batches=batches)

    def _leaving_without(self, entries: list[bytes]) -> tuple[list[bytes], ...]:
        return tuple(group for group in self._ledger.account.leaving if group is not entries)
