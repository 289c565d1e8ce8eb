"""What each sender does after an answer. forklog's rules are imported, the others are written down.

The simulator asks; times are seconds, and the clock is the simulation's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from forklog.delivery.schedule import Look, linger_seconds
from forklog.delivery.sending.backoff import delay_after
from forklog.delivery.sending.gap import Pace
from forklog.transports.http_verdict import Answer, judge

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SENDERS", "Rules"]

_MAX_RETRY_DELAY, _MIB = 30.0, 1024 * 1024
_BODY = json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota"}})
_QUOTA, _DOWN = judge(Answer(429, _BODY.encode()), 10), judge(Answer(503), 10)


class Rules(Protocol):
    """One process's sender."""

    linger: float
    max_entries: int
    max_bytes: int
    tops_up: bool
    """A batch that a quota refused is filled up with new entries."""

    def linger_after(self, pause: float) -> float:
        """Return how long a batch grows whose first record comes so long after a request."""

    def taken(self) -> None:
        """Take note of a request that was taken."""

    def refused(self, attempts: int, size: int, *, is_quota: bool) -> float | None:
        """Return the seconds to the retry, or None if the batch is lost."""

    def seconds_to_next(self) -> float:
        """Return how long after the last request a new batch may be sent."""


class Backoff:
    """forklog without a gap: each process returns at once to its rhythm after a success."""

    linger, max_entries, max_bytes, tops_up = 0.2, 10_000, 4 * _MIB, False

    def __init__(self, random: Callable[[], float]) -> None:
        """Have learned nothing."""
        self._random = random

    def linger_after(self, pause: float) -> float:
        """Return the same after every pause."""
        del pause
        return self.linger

    def taken(self) -> None:
        """Learn nothing."""

    def refused(self, attempts: int, size: int, *, is_quota: bool) -> float | None:
        """Wait as the backoff says."""
        del size
        verdict = _QUOTA if is_quota else _DOWN
        return delay_after(verdict, attempts, _MAX_RETRY_DELAY, self._random)

    def seconds_to_next(self) -> float:
        """Wait for nothing."""
        return 0.0


class Gap(Backoff):
    """forklog with the gap."""

    tops_up = True

    def __init__(self, random: Callable[[], float]) -> None:
        """Have no gap."""
        super().__init__(random)
        self.pace = Pace()

    def linger_after(self, pause: float) -> float:
        """Linger less in a process that is quiet."""
        has_gap = self.pace.gap > 0
        return linger_seconds(Look(now=0, since=pause, max_latency=self.linger, has_gap=has_gap))

    def taken(self) -> None:
        """Shorten the gap."""
        self.pace = self.pace.taken(Backoff.max_bytes)

    def refused(self, attempts: int, size: int, *, is_quota: bool) -> float | None:
        """Double the gap after a refusal by a quota; else wait as the backoff says."""
        if not is_quota:
            return super().refused(attempts, size, is_quota=False)
        self.pace = self.pace.refused()
        return self.pace.seconds_to_retry(_QUOTA.delay, self._random)

    def seconds_to_next(self) -> float:
        """Keep the gap."""
        return self.pace.seconds_to_next(self._random)


class Storm(Backoff):
    """The backoff, where each record is urgent: 20 ms between two requests."""

    linger = 0.02


class GapStorm(Gap):
    """The gap, where each record is urgent."""

    linger = 0.02


class Stock(Backoff):
    """google-cloud-logging's background thread: ten entries a request; what 429 refuses is lost."""

    linger, max_entries = 0.0, 10

    def refused(self, attempts: int, size: int, *, is_quota: bool) -> float | None:
        """Lose the batch to a quota; else retry as google-api-core does, for 60 s."""
        del size
        if is_quota or attempts > _STOCK_ATTEMPTS:
            return None
        return self._random() * min(60.0, 0.1 * 1.3**attempts)


class Collector(Backoff):
    """The OpenTelemetry collector's batch processor and retry, by their defaults."""

    linger, max_entries = 0.2, 8192

    def refused(self, attempts: int, size: int, *, is_quota: bool) -> float | None:
        """Wait 5 s, half as long again each time, 30 s at most; lose the batch after 300 s."""
        del size, is_quota
        if attempts > _COLLECTOR_ATTEMPTS:
            return None
        return float(min(30.0, 5.0 * 1.5 ** (attempts - 1)) * (0.5 + self._random()))


_STOCK_ATTEMPTS = 22  # about 60 s
_COLLECTOR_ATTEMPTS = 12  # about 300 s
SENDERS: dict[str, Callable[[Callable[[], float]], Rules]] = {
    "backoff": Backoff,
    "gap": Gap,
    "stock": Stock,
    "collector": Collector,
}
STORMS: dict[str, Callable[[Callable[[], float]], Rules]] = {"backoff": Storm, "gap": GapStorm}
