"""Tells worker, flush and exit what the sender has not settled."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from forklog.turn import TURN, Turn

if TYPE_CHECKING:
    from forklog.delivery.base import Store
    from forklog.delivery.ledger import Ledger
    from forklog.delivery.sending.aside import Aside
    from forklog.delivery.sending.in_flight import InFlight
    from forklog.delivery.sending.wire import Wire
    from forklog.delivery.sinks.on_drop import OnDrop
    from forklog.transports.base import Origin


class Pending:
    """What `Sender` inherits; it has the attributes. For any thread."""

    aside: Aside
    ledger: Ledger
    on_drop: OnDrop
    _buffer: Store
    _in_flight: InFlight
    _sending: Turn
    _wire: Wire

    def oldest_unsettled(self) -> bytes:
        """Return the oldest entry that is not settled, or bytes above every entry."""
        return self.ledger.lock.run(self._oldest_unsettled)

    def _oldest_unsettled(self) -> bytes:
        return min(self._oldest_to_send(), self._buffer.oldest_aside())

    def oldest_to_send(self) -> bytes:
        """Return the same, without what is set aside, unless the server takes that again.

        No flush waits for what is still refused.
        """
        return self.ledger.lock.run(self._oldest_to_send)

    def _oldest_to_send(self) -> bytes:
        leaving = chain.from_iterable(self.ledger.account.leaving)
        store, aside = self._buffer, []
        if self.aside.is_passing():
            aside.append(store.oldest_aside())
        return min(chain([store.oldest()], self._in_flight.oldest(), leaving, aside))

    def origin(self) -> Origin | None:
        """Return what the connection has found out about this process, None where it has not."""
        return self._wire.origin()

    def has_in_flight(self) -> bool:
        """Tell whether a batch is in flight, to be sent (again) before anything new."""
        return bool(self._in_flight.batches)

    def is_pending(self) -> bool:
        """Tell whether anything waits, is in flight or is set aside."""
        store = self._buffer
        return store.has_waiting() or self.has_in_flight() or bool(store.count_aside())

    def is_busy(self) -> bool:
        """Tell whether a pass, or ``on_drop``, is under way in some thread."""
        return TURN in self._sending or self.on_drop.is_calling
