"""Times for the row `fork` how long all callbacks before a fork take, by two of its own."""

from __future__ import annotations

import os
import time


class Callbacks:
    """Times what other callbacks do before a fork, by callbacks of its own around those."""

    def __init__(self) -> None:
        """Be the last one before a fork; those run in reverse order."""
        self._began = self._ended = 0
        os.register_at_fork(before=self._end)

    def enclose(self) -> None:
        """Be the first one, too, of what is registered by now."""
        os.register_at_fork(before=self._begin)

    def _begin(self) -> None:
        self._began = time.perf_counter_ns()

    def _end(self) -> None:
        self._ended = time.perf_counter_ns()

    def took(self) -> float:
        """Return the microseconds that all of them took before the last fork."""
        return (self._ended - self._began) / 1000
