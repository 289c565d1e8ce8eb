"""Timestamps of entries: RFC 3339 with nanoseconds. Pure."""

from __future__ import annotations

import time
from typing import Any

import orjson

DAY_SECONDS = 86_400


def timestamp_of(created: object, now: float) -> tuple[bytes, bool]:
    """Return the time as RFC 3339 with nanoseconds, and whether it had to be changed.

    The API refuses what is more than 24 h ahead, and forgets at once what is very old.
    """
    is_sane = isinstance(created, (int, float)) and 0 <= created < now + DAY_SECONDS  # NaN is not
    seconds: Any = created if is_sane else now
    whole = int(seconds)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return b"%b%bZ" % (stamp.encode(), fraction_of(float(seconds) - whole)), not is_sane


def fraction_of(rest: float) -> bytes:
    """Return the decimals of a part of a second, nine of them, with the point before.

    Those of the float itself, cut: half the price of counting its nanoseconds. JSON has exponents
    for what is very small.
    """
    if rest < 0.001:  # noqa: PLR2004
        return b".%09d" % int(rest * 1e9)
    return orjson.dumps(rest)[1:11].ljust(10, b"0")
