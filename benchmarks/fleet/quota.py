"""The server's side of the simulation: a token bucket of requests and one of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Bucket", "Quota"]


@dataclass(slots=True)
class Bucket:
    """Tokens that come back at a rate, up to one second's worth."""

    rate: float
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        """Begin full."""
        self.level = self.rate

    def has(self, amount: float, now: float) -> bool:
        """Tell whether there is as much; a request larger than the bucket needs it full."""
        if math.isinf(self.rate):
            return True
        self.level = min(self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        return self.level >= min(amount, self.rate)

    def take(self, amount: float) -> None:
        """Take tokens; the level may fall below zero by one large request."""
        if not math.isinf(self.rate):
            self.level -= amount


@dataclass(slots=True)
class Quota:
    """What one project may send in a second; refusals may count, too."""

    requests: float = 2_000.0
    bytes: float = math.inf
    counts_refusals: bool = False
    _of_requests: Bucket = field(init=False)
    _of_bytes: Bucket = field(init=False)

    def __post_init__(self) -> None:
        """Begin with full buckets."""
        self._of_requests, self._of_bytes = Bucket(self.requests), Bucket(self.bytes)

    def takes(self, size: int, now: float) -> bool:
        """Tell whether a request of this size is taken, and book it."""
        is_taken = self._of_requests.has(1, now) and self._of_bytes.has(size, now)
        if is_taken:
            self._of_requests.take(1)
            self._of_bytes.take(size)
        elif self.counts_refusals and self._of_requests.level > 0:
            self._of_requests.take(1)
        return is_taken
