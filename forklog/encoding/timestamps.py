"""Writes the time of a record as RFC 3339 with nanoseconds, for the encoders. Pure."""

from __future__ import annotations

import time
from typing import Any

import orjson

_DAY_SECONDS = 86_400


def timestamp_of(created: object, now: float) -> tuple[bytes, bool]:
    """Return the time as RFC 3339 with nanoseconds, and whether it had to be changed."""
    is_kept = isinstance(created, (int, float)) and is_sane(created, now)
    seconds: Any = created if is_kept else now
    whole = int(seconds)
    return b"%b%bZ" % (second_of(whole), fraction_of(float(seconds) - whole)), not is_kept


def is_sane(created: float, now: float) -> bool:
    """Tell whether the API keeps a time; NaN is none.

    It refuses what is more than 24 h ahead, and forgets at once what is very old.
    """
    return 0 <= created < now + _DAY_SECONDS


def second_of(whole: float) -> bytes:
    """Return a whole second as RFC 3339, up to where its decimals begin."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)).encode()


def fraction_of(rest: float) -> bytes:
    """Return the decimals of a part of a second, nine of them, with the point before.

    Those of the float itself, cut: half the price of counting its nanoseconds. JSON has exponents
    for what is very small.
    """
    if rest < 0.001:  # noqa: PLR2004
        return b".%09d" % int(rest * 1e9)
    return orjson.dumps(rest)[1:11].ljust(10, b"0")
