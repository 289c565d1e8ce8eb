"""RFC 3339 text to nanoseconds since 1970 and back; pure, used by validate and the filter."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  every time here is naive UTC
_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))", re.ASCII
)


def parse(text: str) -> int:
    """Return the nanoseconds since 1970 of an RFC 3339 time; ValueError if it is not one.

    In UTC it must lie in the years 1 to 9999, as protobuf's Timestamp demands. Offsets may lack
    their colon, because Google's Python client writes its filters so.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        msg = f"{text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00.5Z"
        raise ValueError(msg)
    seconds, fraction, sign, hours, minutes = found.groups()
    nanoseconds = _seconds(seconds) * SECOND
    if fraction:
        nanoseconds += int(fraction.ljust(9, "0"))
    if sign:
        nanoseconds -= int(sign + "1") * _offset(int(hours), int(minutes))
        if not _FIRST <= nanoseconds <= _LAST:
            msg = f"{text!r} is not in the years 1 to 9999 of UTC"
            raise ValueError(msg)
    return nanoseconds


def render(nanoseconds: int) -> str:
    """Return the time in UTC with 0, 3, 6 or 9 digits of fraction, as protobuf JSON writes it."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    if not fraction:
        return _text(seconds) + "Z"
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{_text(seconds)}.{digits}Z"


# Entries of one batch share their second, so the calendar work is done once.
@lru_cache(maxsize=256)
def _seconds(text: str) -> int:
    delta = datetime.fromisoformat(text) - _EPOCH
    return delta.days * 86_400 + delta.seconds


@lru_cache(maxsize=256)
def _text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


_FIRST: Final = parse("0001-01-01T00:00:00Z")
_LAST: Final = parse("9999-12-31T23:59:59.999999999Z")


def _offset(hours: int, minutes: int) -> int:
    if hours not in range(24) or minutes not in range(60):
        msg = f"the offset {hours:02d}:{minutes:02d} is beyond 23:59"
        raise ValueError(msg)
    return (hours * 60 + minutes) * 60 * SECOND
