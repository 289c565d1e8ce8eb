"""What forklog does after an answer, with the gap and without: its own rules, imported.

The simulator asks; times are seconds, and the clock is the simulation's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from benchmarks.fleet.quota import Answer
from forklog.delivery.schedule import Look, linger_seconds
from forklog.delivery.sending.backoff import delay_after
from forklog.delivery.sending.gap import Pace
from forklog.transports import http_verdict

_MAX_RETRY_DELAY, _MIB = 30.0, 1024 * 1024
_BODY = json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota"}})
QUOTA = http_verdict.judge(http_verdict.Answer(429, _BODY.encode()), 10)
DOWN = http_verdict.judge(http_verdict.Answer(503), 10)

Maker = Callable[[Callable[[], float]], "Rules"]
"""Makes the sender of one process, from a function that returns a float from 0 to 1."""


class Rules(Protocol):
    """One process's sender."""

    linger: float
    max_entries: int
    max_bytes: int
    tops_up: bool
    """A batch that a quota refused is filled up with new entries."""
    splits: bool
    """A batch that a failure has refused three times is split, as `Parts` does."""
    beside: int
    """So many refused batches wait for their retry while new ones are sent."""

    def linger_after(self, pause: float) -> float:
        """Return how long a batch grows whose first record comes so long after a request."""

    def taken(self) -> None:
        """Take note of a request that was taken."""

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Return the seconds to the retry, or None if the batch is lost."""

    def seconds_to_next(self) -> float:
        """Return how long after the last request a new batch may be sent."""


class Backoff:
    """forklog without a gap: each process returns at once to its rhythm after a success."""

    linger, max_entries, max_bytes = 0.2, 10_000, 4 * _MIB
    tops_up, splits, beside = False, True, 0

    def __init__(self, random: Callable[[], float]) -> None:
        """Have learned nothing."""
        self._random = random

    def linger_after(self, pause: float) -> float:
        """Return the same after every pause."""
        del pause
        return self.linger

    def taken(self) -> None:
        """Learn nothing."""

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Wait as the backoff says."""
        del size
        verdict = DOWN if answer is Answer.DOWN else QUOTA
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
        self._learn(self.pace.taken(Backoff.max_bytes))

    def _learn(self, pace: Pace) -> None:
        self.pace = pace
        self.max_bytes = pace.batch_bytes or Backoff.max_bytes

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Double the gap after a refusal by a quota; else wait as the backoff says."""
        if answer is Answer.DOWN:
            return super().refused(attempts, size, answer)
        self._learn(self.pace.refused(size if answer is Answer.OVER_BYTES else None))
        return self.pace.seconds_to_retry(QUOTA.delay, self._random)

    def seconds_to_next(self) -> float:
        """Keep the gap."""
        return self.pace.seconds_to_next(self._random)


class Storm(Backoff):
    """The backoff, where each record is urgent: 20 ms between two requests."""

    linger = 0.02


class GapStorm(Gap):
    """The gap, where each record is urgent."""

    linger = 0.02
