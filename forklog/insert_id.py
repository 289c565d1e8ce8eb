"""Step 3, the insertId: unique for each entry of each process image, and growing.

An entry begins with ``{"insertId":"`` and 29 hexadecimal digits: 13 of the microsecond in which its
pipeline was built, 6 random ones, and 10 of a counter. Cloud Logging orders equal timestamps by
insertId and shows entries of equal timestamp and insertId once. The fixed place lets bytes be
compared instead of parsed: a parent's entries sort before its child's.
"""

from __future__ import annotations

import itertools
import os

from forklog.clock import realtime_ns

__all__ = ["InsertIds", "number_of"]

OPENING = b'{"insertId":"'
_PREFIX = 19
_NUMBER = 10
_START = len(OPENING) + _PREFIX
KEY_BYTES = _START + _NUMBER


class InsertIds:
    """Make the insertIds of one pipeline. Steps atomically, so safe from threads and signals."""

    __slots__ = ("head", "number")

    def __init__(self) -> None:
        """Draw a prefix that no other process image has."""
        prefix = f"{realtime_ns() // 1000:013x}{os.urandom(3).hex()}"
        self.head = OPENING + prefix.encode()
        self.number = itertools.count().__next__

    def key(self) -> bytes:
        """Return bytes above every entry that has been numbered so far, and below later ones."""
        return b"%b%010x" % (self.head, self.number())


def number_of(entry: bytes) -> int:
    """Return an entry's sequence number within its pipeline."""
    return int(entry[_START:KEY_BYTES], 16)
