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
    """What dead processes left, as far as one pipeline sends it. Used between its passes."""

    def __init__(
        self,
        options: Options,
        sender: Sender,
        spooler: Spooler | None,
        orders: Orders,
        wakeup: Wakeup,
    ) -> None:
        """Send nothing yet; without a spooler, never."""
        self._options, self._sender, self._spooler = options, sender, spooler
        self._orders, self._wakeup = orders, wakeup
        self._own_passes = 0  # since entries of dead processes were sent

    def seconds(self, now: float) -> float | None:
        """Return when entries of dead processes are due; the gap holds for them, too."""
        seconds = self._spooler.seconds() if self._spooler is not None else None
        return None if seconds is None else max(seconds, self._sender.pacing.gap_until - now)

    def adopt(self, until: float, *, has_sent: bool) -> None:
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
        if not self._orders.is_draining and (is_late or self.seconds(monotonic()) == 0):
            if (left := until - monotonic()) <= 0:
                return
            self._own_passes = 0
            self._adopt_one(spooler, min(left, self._options.answer_timeout))
            if is_late:
                self._sender.pacing.lengthen()

    def _adopt_one(self, spooler: Spooler, timeout: float) -> bool:
        sender, began = self._sender, monotonic()
        requests = sender.ledger.requests
        sums = spooler.adopt(partial(sender.send_other, timeout=timeout))
        if sender.ledger.requests != requests:
            sender.pacing.sent(began)
        if sums:
            refused = {REFUSED: sums["refused"]} if sums["refused"] else {}
            sender.ledger.book(Booking(delivered=sums["delivered"], dropped=refused))
        return bool(sums)

    def adopt_last(self, deadline: float) -> None:
        """At the end of the process, once all of its own is settled: adopt, for a bounded time.

        Where all processes are short, there is none that does so in its life.
        """
        spooler, now = self._spooler, monotonic()
        deadline = min(deadline, now + _LAST_ADOPT_SECONDS)
        while spooler and now < deadline:
            is_adopting = spooler.is_adopting()  # before the look: what it finds is due then
            is_due = self.seconds(now) == 0
            if not is_due and not is_adopting:
                return
            if not (is_due and self._adopt_one(spooler, deadline - now)):
                self._wakeup.wait(0.01)  # for the thread, which is at it and may find more
            now = monotonic()
