"""Severities of Cloud Logging, and the rank by which the buffer sorts them. Pure."""

from __future__ import annotations

import logging
from typing import Any

SEVERITIES = (
    b"DEFAULT", b"DEBUG", b"INFO", b"NOTICE", b"WARNING",
    b"ERROR", b"CRITICAL", b"ALERT", b"EMERGENCY",
)  # fmt: skip
RANKS = len(SEVERITIES)
NEVER = RANKS  # as the rank of a wake-up: no entry is urgent enough
_LEVELS = ((logging.CRITICAL, 6), (logging.ERROR, 5), (logging.WARNING, 4), (logging.INFO, 2),
           (logging.DEBUG, 1))  # fmt: skip


# Cloud Logging, LogSeverity: the numbers of the enumeration. Below them logging's levels stand.
_NUMBERS = {100 * rank: rank for rank in range(1, RANKS)}


def rank_of_level(level: Any) -> int:
    """Return the severity's rank for the level of a record.

    100, 200 and so on to 800 are numbers of Cloud Logging's own. Any other is a level of logging:
    that of the nearest lower standard one.
    """
    try:
        return _NUMBERS.get(level) or rank_of_threshold(level)
    except Exception:  # noqa: BLE001 - of no use as a key
        return 0


def rank_of_threshold(level: Any) -> int:
    """Return the rank of the nearest lower standard level; for options, which take logging's."""
    try:
        return next((rank for standard, rank in _LEVELS if level >= standard), 0)
    except Exception:  # noqa: BLE001 - no number
        return 0


_SERVER_ERROR, _CLIENT_ERROR = 500, 400


def rank_of_status(status: int) -> int:
    """Return the least rank of a request by its HTTP status: 5xx is an ERROR, 4xx a WARNING."""
    if status >= _SERVER_ERROR:
        return 5
    return 4 if status >= _CLIENT_ERROR else 2
