"""Bounds how long all handlers of a process wait for one full place, stderr or a file.

Such are stderr and the file of the last resort. A reader that has stopped would hold up each
handler and each line anew. So would another process that was stopped in the middle of its line.
Pure but for the clock.
"""

from __future__ import annotations

from forklog.clock import monotonic

_MAX_SECONDS = 5.0  # of waiting in all
_REFILL = 0.1  # of a second, each second
_STOPPED_SECONDS = 10.0  # after a wait in vain there is no other one, but where something moves


class Waits:
    """The waits for one reader, and for the lock on its lines. Each call is safe in any thread."""

    def __init__(self) -> None:
        """Have waited for nothing yet."""
        self._seconds, self._since = 0.0, monotonic()
        # Until when not to wait, and how many seconds it were: who has more patience does wait.
        self._in_vain = {"reader": (0.0, 0.0), "lock": (0.0, 0.0)}

    def seconds(self, what: str, most: float) -> float:
        """Return how long to wait for ``reader`` or ``lock``, at most ``most`` seconds."""
        until, seconds = self._in_vain[what]
        if monotonic() < until and most <= seconds:
            return 0.0
        return max(0.0, min(most, _MAX_SECONDS - self._spent()))

    def _spent(self) -> float:
        return max(0.0, self._seconds - _REFILL * (monotonic() - self._since))

    def waited(self, seconds: float) -> None:
        """Take note of a wait that is over."""
        self._seconds, self._since = self._spent() + seconds, monotonic()

    def in_vain(self, what: str, seconds: float) -> None:
        """Take note that nothing came of a wait for as many seconds."""
        now = monotonic()
        until, most = self._in_vain[what]
        self._in_vain[what] = now + _STOPPED_SECONDS, max(seconds, most if now < until else 0.0)

    def moved(self, what: str) -> None:
        """Take note that the reader reads, or that the lock was given back."""
        self._in_vain[what] = 0.0, 0.0
