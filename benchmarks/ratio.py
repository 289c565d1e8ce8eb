"""Computes medians, spreads, and ratios within each round, of what the rows measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    def text(self, form: str = ".2f") -> str:
        """Return it as "1.42 (1.38-1.47)"."""
        return f"{self.median:{form}} ({self.low:{form}}-{self.high:{form}})"


def figure(values: Sequence[float]) -> Figure:
    """Sum up measurements of one thing."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(statistics.median(values), low, high)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Divide round by round, so that what slows a whole round cancels out."""
    return figure([a / b for a, b in zip(ours, theirs, strict=True)])
