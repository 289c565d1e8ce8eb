"""The clocks of every room: real time even where a test has frozen the time module.

Libraries such as freezegun replace ``time.time`` and ``time.monotonic``. Timestamps of entries
follow them (they come from the log record); waits and deadlines must not, or a flush would stall
or spin. ``clock_gettime`` is what they leave alone.
"""

from __future__ import annotations

import time

if hasattr(time, "clock_gettime_ns"):

    def monotonic() -> float:
        """Return seconds on the monotonic clock. Never blocks; safe in signal handlers."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def realtime_ns() -> int:
        """Return nanoseconds since the epoch. Never blocks; safe in signal handlers."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)

else:  # Windows
    monotonic = time.monotonic
    realtime_ns = time.time_ns
