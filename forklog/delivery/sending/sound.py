"""Checks the connection and the verdict of a transport before the sender uses them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from forklog.transports.base import Connection, Kind, Quota, Verdict

MAX_DELAY = 3600.0
"""The longest delay in seconds that a verdict may ask for, as a header Retry-After may."""


class UnsoundError(Exception):
    """A transport has broken its contract; the text says by what."""


def sound_connection(found: Any) -> Connection:
    """Return what `open` has returned.

    Raises:
        UnsoundError: it cannot send.
    """
    if not callable(getattr(found, "send", None)):
        message = f"open() returned {type(found).__name__}, which has no send()"
        raise UnsoundError(message)
    connection: Connection = found
    return connection


def sound_verdict(verdict: Any, count: int) -> Verdict:
    """Return the verdict on ``count`` entries; one without its delay, where that is none.

    Raises:
        UnsoundError: it is no verdict, or speaks of entries that were not sent.
    """
    if not isinstance(verdict, Verdict) or not isinstance(verdict.kind, Kind):
        message = f"send() returned {type(verdict).__name__} in place of a Verdict"
        raise UnsoundError(message)
    _check_places(verdict.refused, verdict.again, count)
    texts: tuple[Any, ...] = (verdict.reason, verdict.answer)
    repeats: Any = verdict.repeats
    is_counted = isinstance(repeats, int) and repeats >= 0
    is_quota = isinstance(verdict.quota, (Quota, type(None)))
    if not (all(isinstance(text, str) for text in texts) and is_counted and is_quota):
        message = "send() returned a Verdict with a field of another type"
        raise UnsoundError(message)
    return verdict if verdict.delay is None else replace(verdict, delay=_sound(verdict.delay))


def _check_places(refused: Any, again: Any, count: int) -> None:
    is_whole = isinstance(refused, Mapping) and isinstance(again, (frozenset, set))
    if not (is_whole and all(isinstance(reason, str) for reason in refused.values())):
        message = "send() returned a Verdict whose refused or again is of another type"
        raise UnsoundError(message)
    if not (_are_places(refused, count) and _are_places(again, count)) or again & refused.keys():
        message = "send() returned a Verdict on entries that were not sent"
        raise UnsoundError(message)


def _are_places(places: Iterable[object], count: int) -> bool:
    return all(isinstance(place, int) and 0 <= place < count for place in places)


def _sound(delay: object) -> float | None:
    """Return a delay; None, so that the backoff decides, for what is no number of seconds."""
    if not isinstance(delay, (int, float)) or math.isnan(delay) or delay < 0 or delay == math.inf:
        return None
    return min(delay, MAX_DELAY)
