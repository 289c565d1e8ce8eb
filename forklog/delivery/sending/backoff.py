"""How long to wait after a failed attempt. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forklog.transports.base import Verdict

FIRST_DELAY = 0.5


def backoff(attempt: int, ceiling: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after ``attempt`` attempts, with full jitter."""
    return random() * min(ceiling, FIRST_DELAY * 2.0 ** min(attempt, 30))


def delay_after(
    verdict: Verdict,
    attempts: int,
    ceiling: float,
    random: Callable[[], float],
    *,
    is_slow: bool = False,
) -> float:
    """Return the seconds to wait after a failure: as the verdict says, slowly, or the backoff."""
    if verdict.delay is not None:
        return verdict.delay
    return ceiling * (0.5 + 0.5 * random()) if is_slow else backoff(attempts, ceiling, random)
