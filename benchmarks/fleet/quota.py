"""The server's side of the simulation: a token bucket of requests and one of bytes."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field


class Answer(enum.Enum):
    """What the server answers to a request."""

    TAKEN = enum.auto()
    OVER_REQUESTS = enum.auto()
    """429, and the quota that it names is one of requests."""
    OVER_BYTES = enum.auto()
    """429, and the quota that it names is one of bytes."""
    DOWN = enum.auto()
    """503."""


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

    def answer(self, size: int, now: float) -> Answer:
        """Return the answer to a request of this size, and book it."""
        has_requests = self._of_requests.has(1, now)
        if has_requests and self._of_bytes.has(size, now):
            self._of_requests.take(1)
            self._of_bytes.take(size)
            return Answer.TAKEN
        if self.counts_refusals and self._of_requests.level > 0:
            self._of_requests.take(1)
        return Answer.OVER_BYTES if has_requests else Answer.OVER_REQUESTS
