"""Adds up what came of a simulated fleet: numbers and a histogram of ages, for the row `fleet`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

_STEPS = 100  # of the histogram: so many to a factor of e, one percent each


@dataclass
class Outcome:
    """What came of it."""

    accepted: int = 0
    delivered: int = 0
    lost: int = 0
    requests: int = 0
    refused: int = 0
    backlogs: list[float] = field(default_factory=list)
    """Of each process, once the run is over: seconds from the end of the outage to the answer for
    its last record from before that."""
    ages: Counter[int] = field(default_factory=Counter)

    def add_ages(self, seconds: float, number: int) -> None:
        """Count so many records of an age."""
        self.ages[round(math.log(max(1e-3, seconds)) * _STEPS)] += number

    def age(self, share: float) -> float:
        """Return the age in seconds, at the server's answer, below which this share was."""
        left = share * sum(self.ages.values())
        for step in sorted(self.ages):
            left -= self.ages[step]
            if left <= 0:
                return math.exp(step / _STEPS)
        return math.nan

    def backlog(self, share: float) -> float:
        """Return the seconds after the outage in which this share of the processes caught up."""
        return sorted(self.backlogs)[math.ceil(share * len(self.backlogs)) - 1]
