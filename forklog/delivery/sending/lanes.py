"""Lanes of entries, as the buffer has one for each severity: to move, copy and measure them."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, repeat, starmap, takewhile


def first(lane: deque[bytes], most: int) -> list[bytes]:
    """Return the first entries in order, from a copy: other threads may append meanwhile."""
    return sorted(list(lane)[:most])


def move(lane: deque[bytes], into: list[bytes] | deque[bytes], most: int) -> None:
    """Move the first entries of a lane in one step, with no line of Python for each."""
    with contextlib.suppress(IndexError):  # an overflow emptied it meanwhile; `into` has the others
        into.extend(starmap(lane.popleft, repeat((), most)))


def move_last(lanes: Sequence[deque[bytes]], into: list[bytes]) -> None:
    """Move the newest entry of all lanes, in one step; nothing where they are empty."""
    with contextlib.suppress(IndexError):  # an overflow emptied the lane meanwhile
        into.extend(starmap(max(lanes, key=_newest).pop, ((),)))


def oldest(lanes: Iterable[deque[bytes]], otherwise: bytes) -> bytes:
    """Return the oldest entry of all lanes, or something else where they are empty."""
    heads = []
    for lane in lanes:
        try:
            heads.append(lane[0])
        except IndexError:  # noqa: PERF203 - emptied by another thread meanwhile
            continue
    return min(heads, default=otherwise)


def _newest(lane: deque[bytes]) -> bytes:
    try:
        return lane[-1]
    except IndexError:
        return b""


def fitting(entries: list[bytes], max_entries: int, max_bytes: int) -> int:
    """Return how many of the entries go into a batch: at least one."""
    return max(1, bisect_right(list(accumulate(map(len, entries[:max_entries]))), max_bytes))


def behind(lane: deque[bytes], last: bytes) -> list[bytes]:
    """Return copies of the entries behind this one, or of all where it is not there any more.

    Looks at no entry before it, however many there are.
    """
    return _whole(lambda: list(takewhile(last.__ne__, reversed(lane)))[::-1])


def copied(lane: deque[bytes]) -> list[bytes]:
    """Return a copy, made again where another thread has changed the lane meanwhile."""
    return _whole(lambda: list(lane))


def _whole(read: Callable[[], list[bytes]]) -> list[bytes]:
    while True:
        try:
            return read()
        except RecursionError:  # noqa: PERF203 - a RuntimeError as well, and it would stay
            raise
        except RuntimeError:  # "deque mutated during iteration"
            continue
