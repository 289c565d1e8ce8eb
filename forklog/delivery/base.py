"""The seams of delivery: where lines for people go."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Takes short lines for people, each kind at most once a minute. No call raises."""

    def say(self, key: str, text: str) -> bool:
        """Write one line unless one with this key was written within the last minute."""

    def drop(self, reason: str, entries: int, why: str = "") -> None:
        """Report dropped entries: a line a minute and reason, with the sum since then."""

    def catch_up(self) -> None:
        """Report what the rate limit has withheld, as far as its minute is over."""

    def finish(self) -> None:
        """Report what is still withheld; for the end of the process."""
