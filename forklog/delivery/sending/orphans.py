"""Sends the entries of dead processes between a pipeline's own, and at the end of its process.

A spooler finds it and chooses the batch; here is when one is sent, and how long that may take.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from forklog.clock import monotonic
from forklog.delivery.ledger import Booking
from forklog.drops import REFUSED

if TYPE_CHECKING:
    from forklog.delivery.base import Spooler
    from forklog.delivery.lifecycle import Orders
    from forklog.delivery.sending.sender import Sender
    from forklog.delivery.wakeup import Wakeup
    from forklog.options import Options

_OWN_PASSES = 8  # in a row, while a quota refuses and dead processes have left something
_LAST_ADOPT_SECONDS = 1.0  # of an exit, for what dead processes left


class Orphans:
    """What `Passes` inherits; it has the attributes."""

    wakeup: Wakeup
    orders: Orders
    _options: Options
    _sender: Sender
    _spooler: Spooler | None
    _own_passes: int
    _sent_at: float
    _gap_until: float

    def _adopter_seconds(self, now: float) -> float | None:
        """Return when entries of dead processes are due; the gap holds for them, too."""
        seconds = self._spooler.seconds() if self._spooler is not None else None
        return None if seconds is None else max(seconds, self._gap_until - now)

    def _adopt(self, until: float, *, has_sent: bool) -> None:
        """Send one batch of what dead processes left, beside this process's own entries.

        Args:
            until: on the monotonic clock: when a calling thread has to go on.
            has_sent: whether a batch of this process was sent just now.
        """
        if (spooler := self._spooler) is None:
            return
        if has_sent:
            spooler.after_pass(self._sender.origin())
        self._own_passes += has_sent  # one that always has own entries adopts within the gap
        is_late = self._own_passes >= _OWN_PASSES and spooler.seconds() == 0
        if not self.orders.is_draining and (is_late or self._adopter_seconds(monotonic()) == 0):
            if (left := until - monotonic()) <= 0:
                return
            self._own_passes = 0
            self._adopt_one(spooler, min(left, self._options.answer_timeout))
            self._gap_until += self._sender.pacing.seconds_to_next() if is_late else 0.0

    def _adopt_one(self, spooler: Spooler, timeout: float) -> bool:
        began, requests = monotonic(), self._sender.ledger.requests
        sums = spooler.adopt(partial(self._sender.send_other, timeout=timeout))
        self._note_request(began, requests)
        if sums:
            refused = {REFUSED: sums["refused"]} if sums["refused"] else {}
            self._sender.ledger.book(Booking(delivered=sums["delivered"], dropped=refused))
        return bool(sums)

    def adopt_last(self, deadline: float) -> None:
        """At the end of the process, once all of its own is settled: adopt, for a bounded time.

        Where all processes are short, there is none that does so in its life.
        """
        spooler, now = self._spooler, monotonic()
        deadline = min(deadline, now + _LAST_ADOPT_SECONDS)
        while spooler and now < deadline:
            is_adopting = spooler.is_adopting()  # before the look: what it finds is due then
            is_due = self._adopter_seconds(now) == 0
            if not is_due and not is_adopting:
                return
            if not (is_due and self._adopt_one(spooler, deadline - now)):
                self.wakeup.wait(0.01)  # for the thread, which is at it and may find more
            now = monotonic()

    def _note_request(self, began: float, requests: int) -> None:
        """Keep new entries back while a quota refuses, if a request was made since then."""
        if self._sender.ledger.requests != requests:
            self._sent_at = began
            self._gap_until = began + self._sender.pacing.seconds_to_next()
