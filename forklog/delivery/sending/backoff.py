"""Computes how long the sender and the worker wait after a failure. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forklog.transports.base import Verdict

FIRST_DELAY = 0.5
_LEAST = 0.005  # so that a transport that always asks for none makes no busy loop


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
    """Return the seconds to wait after a failure: as the verdict says, slowly, or the backoff.

    A verdict may ask for no delay once; where it does so again and again, the delay grows.
    """
    if verdict.delay is not None:
        least = min(FIRST_DELAY, _LEAST * 2.0 ** min(attempts, 30)) if attempts > 1 else 0.0
        return max(verdict.delay, least)
    return ceiling * (0.5 + 0.5 * random()) if is_slow else backoff(attempts, ceiling, random)
