"""The one door to stderr: for report and last_resort, which say things on it.

It writes to the descriptor, not through Python's buffer: that has a lock, and a process forked
while a thread of its parent is writing would have it held for ever, its own prints included.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from typing import Any

from forklog.clock import monotonic

__all__ = ["stream", "write"]

_MAX_SECONDS = 5.0  # for everything that is to be written into a pipe


def stream() -> Any:
    """Return the stream to write to: stderr, or the first one if something else took its place.

    celery, and many an application, put an object there whose `write` logs; what is said here must
    not come back as a record.
    """
    is_stream = sys.stderr is None or isinstance(sys.stderr, io.TextIOBase)
    return sys.stderr if is_stream else sys.__stderr__


def write(text: str, patience: float = 0.0) -> None:
    """Write text; raises whatever the stream does, TimeoutError if nobody reads it.

    Args:
        text: one line or many.
        patience: seconds to wait for the reader of a pipe, between two writes.
    """
    place = stream()
    descriptor = _descriptor_of(place)
    if descriptor is None:
        place.write(text)
        place.flush()
        return
    data = text.encode(place.encoding or "utf-8", "backslashreplace")
    # A pipe that has room has room for so much; a larger write could wait.
    size = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else 0
    deadline = monotonic() + _MAX_SECONDS
    while data:
        if size and (monotonic() > deadline or not _has_room(descriptor, patience)):
            raise TimeoutError("nobody reads stderr")
        data = data[os.write(descriptor, data[: size or len(data)]) :]


def _descriptor_of(place: Any) -> int | None:
    try:
        return int(place.fileno())
    except (AttributeError, OSError, TypeError, ValueError):
        return None


def _has_room(pipe: int, seconds: float) -> bool:
    try:
        return bool(select.select([], [pipe], [], seconds)[1])
    except ValueError:  # a number that is too high for select
        return True
