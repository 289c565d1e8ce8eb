"""Makes insertIds for the encoders: unique for each entry of each process image, and growing.

An entry begins with ``{"insertId":"`` and 29 hexadecimal digits. Of these 13 are of the microsecond
in which its pipeline was built, 6 are random, and 10 are of a counter. Cloud Logging orders equal
timestamps by insertId and shows entries of equal timestamp and insertId once. The fixed place lets
bytes be compared instead of parsed. A parent's entries sort before its child's, since the
microsecond of a child is above its parent's, whatever the clock says.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from forklog.clock import realtime_ns
from forklog.turn import HAS_GIL

OPENING = b'{"insertId":"'
_MICROSECOND = 13
_PREFIX = _MICROSECOND + 6
_NUMBER = 10
PREFIX_BYTES = len(OPENING) + _PREFIX
_LAST_MICROSECOND = 16**_MICROSECOND - 1
KEY_BYTES = PREFIX_BYTES + _NUMBER
AFTER_ALL = b"\xff"
"""Bytes above every entry and every insertId."""
_DIGITS = b"0123456789abcdef"
_AT_ONCE = 64
_TRIPLES = tuple(b"%03x" % number for number in range(16**3))


class InsertIds:
    """Make the insertIds of one pipeline. Steps atomically, so safe from threads and signals."""

    __slots__ = ("_now_ns", "head", "opening")

    def __init__(self, now_ns: Callable[[], int] = realtime_ns) -> None:
        """Begin; ``now_ns`` returns nanoseconds since the epoch."""
        self._now_ns = now_ns
        self.renew()

    def renew(self, after: InsertIds | None = None) -> None:
        """Draw a prefix that no other process image has, and count from zero.

        Args:
            after: the insertIds of the pipeline before this one. Ours sort after them, also where
                the clock was set back since: `flush` and the order of adopted entries rest on it.
        """
        least = after.microsecond() + 1 if after is not None else 0
        microsecond = min(max(self._now_ns() // 1000, least), _LAST_MICROSECOND)
        self.head = OPENING + f"{microsecond:013x}{os.urandom(3).hex()}".encode()
        # Counts in hexadecimal without a line of Python, at half the price of a format operation.
        # It is the product of the head with each first digit, and of three lists of the next three.
        heads = [b"%b%c" % (self.head, digit) for digit in _DIGITS]
        parts = itertools.product(heads, *[_TRIPLES] * (_NUMBER // 3))
        openings = map(b"".join, parts)
        self.opening = openings.__next__ if HAS_GIL else one_by_one(openings)
        """Return the start of the next entry: its insertId, without the quote that ends it."""

    def prefix(self) -> str:
        """Return the 19 digits with which all of them begin."""
        return self.head[len(OPENING) :].decode()

    def microsecond(self) -> int:
        """Return the first part of the prefix: when the pipeline was built, or a little later."""
        return int(self.head[len(OPENING) :][:_MICROSECOND], 16)

    def number(self) -> int:
        """Use up a number and return it."""
        return number_of(self.opening())

    def key(self) -> bytes:
        """Return bytes above every entry that has been numbered so far, and below later ones."""
        return self.opening()[:KEY_BYTES]


def one_by_one(values: Iterator[bytes]) -> Callable[[], bytes]:
    """Return a function that gives each value to one caller, in order, without Python's lock.

    A deque is locked while a call of C works on it. So it fills itself in one call, and is emptied
    in others. Nothing is held in between, neither in a signal handler nor at a fork.
    """
    ready: deque[bytes] = deque()
    take = ready.popleft

    def one() -> bytes:
        while True:
            try:
                return take()
            except IndexError:  # noqa: PERF203 - once in _AT_ONCE
                ready.extend(islice(values, _AT_ONCE))

    return one


def id_of(entry: bytes) -> str:
    """Return an entry's insertId."""
    return entry[len(OPENING) : KEY_BYTES].decode()


def number_of(entry: bytes) -> int:
    """Return an entry's sequence number within its pipeline."""
    return int(entry[PREFIX_BYTES:KEY_BYTES], 16)
