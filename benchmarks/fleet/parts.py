"""The parts of a refused batch in a simulated process, chosen by the sender's own rules.

`Choosing` and `InFlight` run as they are. A record is eight bytes here, the time at which it was
logged, so their bounds of bytes are of as many records.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from forklog.delivery.ledger import Ledger
from forklog.delivery.sending.choosing import Choosing
from forklog.delivery.sending.in_flight import InFlight

if TYPE_CHECKING:
    from benchmarks.fleet.rules import Rules
    from forklog.delivery.base import Store
    from forklog.delivery.sending.aside import Aside
    from forklog.delivery.sending.batch import Batch
    from forklog.delivery.sending.pacing import Pacing
    from forklog.options import Options

_TIME = struct.Struct(">d")  # of times from zero on, the bytes have the order of the numbers
_Take = Callable[[int], list[float]]
_TakeNewest = Callable[[], list[float]]


class _Options(NamedTuple):
    max_batch_entries: int
    max_buffer_bytes: int


class _Pacing:
    """The bound of a request, which a quota of bytes may have lowered."""

    def __init__(self, rules: Rules, entry_bytes: int) -> None:
        self._rules, self._entry_bytes = rules, entry_bytes

    def max_batch_bytes(self) -> int:
        return self._rules.max_bytes // self._entry_bytes * _TIME.size


class _Waiting:
    """What waits in the process; nothing is ever set aside there."""

    def __init__(self, take: _Take, take_newest: _TakeNewest) -> None:
        self._take, self._take_newest = take, take_newest

    def is_next(self) -> bool:
        return False

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        most = min(max_entries, max(1, max_bytes // _TIME.size))
        into.extend(map(_TIME.pack, self._take(most)))

    def take_newest(self, into: list[bytes]) -> None:
        into.extend(map(_TIME.pack, self._take_newest()))


class Parts(Choosing):
    """What one process has in flight from the first refusal by a failure until all has passed."""

    def __init__(
        self,
        rules: Rules,
        entry_bytes: int,
        most: int,
        take: _Take,
        take_newest: _TakeNewest,
    ) -> None:
        """Hold nothing.

        Args:
            rules: of the process; its bounds are those of a request.
            entry_bytes: of one record.
            most: records that the buffer holds.
            take: takes so many waiting records at most, and returns when they were logged.
            take_newest: does so with the newest.
        """
        max_bytes = type(rules).max_bytes // entry_bytes * _TIME.size
        buffer_bytes = most // 4 * 4 * _TIME.size  # whole records in its quarter, too
        waiting = _Waiting(take, take_newest)
        super().__init__(
            cast("Options", _Options(rules.max_entries, buffer_bytes)),
            cast("Store", waiting),
            InFlight(rules.max_entries, max_bytes, Ledger()),
            cast("Aside", waiting),
            cast("Pacing", _Pacing(rules, entry_bytes)),
        )
        self._since: int | None = None
        self._is_given_back = False

    def __bool__(self) -> bool:
        """Tell whether anything is in flight."""
        return bool(self._in_flight.batches)

    def begin(self, times: list[float], refusals: int) -> None:
        """Have a batch in flight that a quota has refused so often."""
        batch = self._in_flight.begin()
        batch.entries.extend(map(_TIME.pack, times))
        batch.since = self._since
        for _ in range(refusals):
            self._in_flight.put_off()

    def next_times(self) -> list[float]:
        """Return when the records of the next request were logged.

        Where new records may join them, nothing is in flight here any more: `begin` has them back
        if a failure refuses them again.
        """
        batch = self.next_batch(False)  # noqa: FBT003 - nothing is hurried
        assert batch is not None
        if self._is_given_back:
            self._is_given_back, self._since = False, batch.since
            self._in_flight.remove()
        return [_TIME.unpack(entry)[0] for entry in batch.entries]

    def _fill(self, batch: Batch) -> None:
        """Leave it to the process to fill up what is in flight."""
        self._is_given_back = bool(batch.entries)
        if not batch.entries:
            super()._fill(batch)

    def passed(self) -> None:
        """Take note that the request was taken."""
        self._since = None
        if self:
            self._in_flight.passed()

    def refused(self, *, is_of_content: bool) -> int:
        """Take note that it was refused; return how many were in a row.

        Raises:
            NotImplementedError: the sender would set a record aside, as in no outage.
        """
        self._in_flight.batches[0].open(is_open=not is_of_content)
        if not is_of_content:
            self._in_flight.put_off()
        elif self._in_flight.refused():
            raise NotImplementedError("no process of the simulation sets a record aside")
        return self._in_flight.refusals
