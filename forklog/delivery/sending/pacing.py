"""Tells the sender how long to wait and how much to take, from what the server answered so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from forklog.clock import monotonic
from forklog.delivery.sending.backoff import delay_after
from forklog.delivery.sending.gap import Pace
from forklog.transports.base import Kind, Verdict

if TYPE_CHECKING:
    from forklog.delivery.sending.batch import Batch
    from forklog.options import Options

_JUST_SECONDS = 60.0


class Pacing:
    """The pace of one sender. For whoever runs passes, one at a time."""

    def __init__(
        self,
        options: Options,
        random: Callable[[], float],
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Have learned nothing."""
        self._now = now
        self._delivered_at = -math.inf
        self._options = options
        self._random = random
        self._pace = Pace()
        self.sent_at = 0.0
        """When the last request was sent."""
        self.gap_until = 0.0
        """While a quota refuses: no batch of new entries before this."""

    def learn(self, batch: Batch, verdict: Verdict) -> None:
        """Keep requests farther apart after a refusal by a quota, closer once one is taken."""
        batch.open(is_open=verdict.quota is not None)
        self.learn_of(verdict, batch.size)

    def learn_of(self, verdict: Verdict, size: int) -> None:
        """Learn from a request of ``size`` bytes, which held entries of any process."""
        quota = verdict.quota
        if quota is not None:
            self._pace = self._pace.refused(size if quota.is_of_bytes else None)
        elif verdict.kind is Kind.DELIVERED:
            self._pace = self._pace.taken(self._options.max_batch_bytes)

    def delay(self, verdict: Verdict, attempts: int, refusals: int) -> float:
        """Return the seconds until the batch that was refused is sent again.

        Args:
            verdict: of the last attempt.
            attempts: how often the batch was sent; zero if other batches pass.
            refusals: how many requests in a row were refused.
        """
        if verdict.quota is not None:
            return self._pace.seconds_to_retry(verdict.delay, self._random)
        is_slow = verdict.kind is Kind.BLOCKED and attempts > 0
        ceiling, most = self._options.max_retry_delay, max(attempts, refusals)
        return delay_after(verdict, most, ceiling, self._random, is_slow=is_slow)

    def delivered(self) -> None:
        """Take note that the server has taken something of a batch."""
        self._delivered_at = self._now()

    def has_just_delivered(self) -> bool:
        """Tell whether the server has taken something within the last minute."""
        return self._now() < self._delivered_at + _JUST_SECONDS

    def sent(self, began: float) -> None:
        """Take note of a request that began then; the gap follows it."""
        self.sent_at = began
        self.gap_until = began + self.seconds_to_next()

    def lengthen(self) -> None:
        """Keep new entries back for one gap more."""
        self.gap_until += self.seconds_to_next()

    def seconds_to_next(self) -> float:
        """Return how long after the last request a batch of new entries may be sent."""
        return self._pace.seconds_to_next(self._random)

    def max_batch_bytes(self) -> int:
        """Return how many bytes a request may hold."""
        return self._pace.batch_bytes or self._options.max_batch_bytes

    def gap(self) -> float:
        """Return the seconds between two requests, zero while no quota refuses any."""
        return self._pace.gap
