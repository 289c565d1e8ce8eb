"""What a row gives back: its lines of the target table, and the figures behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One target and what was measured against it."""

    what: str
    target: str
    measured: str
    is_met: bool | None = None
    """None where there is no target, only a number to show."""

    def verdict(self) -> str:
        """Return a word for `is_met`."""
        return {True: "met", False: "missed", None: "-"}[self.is_met]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one row."""

    title: str
    lines: list[Line]
    heads: list[str]
    """Column heads of the figures."""
    figures: list[list[str]]
    data: dict[str, Any] = field(default_factory=dict)
    """All samples, for the JSON file."""
    note: str = ""
    telling: str = ""
    """Sentences for the README, one a line, where this row has some."""
