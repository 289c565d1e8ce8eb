"""Reads the header Retry-After of an answer as seconds, for http and tail; reads the clock."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping

from forklog.clock import realtime_ns

_MAX_SECONDS = 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header, seconds or a date; a date counts from the server's own clock."""
    value = headers.get("Retry-After") or ""
    try:
        seconds = float(value)
    except ValueError:
        until = _time_of(value)
        if until is None:
            return None
        seconds = until - (_time_of(headers.get("Date") or "") or realtime_ns() / 1e9)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _MAX_SECONDS)


def _time_of(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
