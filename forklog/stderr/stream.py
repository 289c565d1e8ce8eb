"""Writes to stderr's descriptor; used by reporter and last_resort.

It writes to the descriptor, not through Python's buffer, which has a lock. A process forked while a
thread of its parent is writing would have it held for ever, its own prints included.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

from forklog.stderr.descriptor import write_lines
from forklog.stderr.printable import ascii_json
from forklog.stderr.waits import Waits

_is_torn = [False]
_waits = Waits()  # of all handlers of this process


def stream() -> Any:
    """Return the stream to write to: stderr, or the first one if something else took its place.

    celery, and many an application, put an object there whose `write` logs. What is written here
    must not come back as a record.
    """
    is_stream = sys.stderr is None or isinstance(sys.stderr, io.TextIOBase)
    return sys.stderr if is_stream else sys.__stderr__


def write(text: str, patience: float = 0.0) -> int:
    """Write text; return how many of its lines were written whole. Never raises.

    Args:
        text: one line or many, each ended by a newline.
        patience: seconds to wait for the reader between two pieces. Five seconds bound the whole,
            and what the handlers of a process write one after another. Where a wait was in vain,
            the next calls do not wait until something is read.
    """
    with contextlib.suppress(Exception):  # closed, None, or whatever the application's object does
        place = stream()
        descriptor = _descriptor_of(place)
        if descriptor is not None:
            return _write_lines(descriptor, text, place.encoding or "utf-8", patience)
        place.write(text)
        place.flush()
        return text.count("\n")
    return 0


def _write_lines(descriptor: int, text: str, encoding: str, patience: float) -> int:
    data = text.encode(encoding, "backslashreplace")
    ending = b"\n" if _is_torn[0] else b""  # of the line that an earlier call could not finish
    number = write_lines(descriptor, ending + data, patience, _waits)
    written = (ending + data)[:number]
    if written:
        _is_torn[0] = not written.endswith(b"\n")
    return written.count(b"\n", len(ending))


def _descriptor_of(place: Any) -> int | None:
    try:
        return int(place.fileno())
    except (AttributeError, OSError, TypeError, ValueError):
        return None


_PATIENCE_SECONDS = 1.0  # for the reader of a pipe, between two writes


def write_to_stderr(lines: bytes) -> int:
    """Write lines of JSON so that they stay JSON in any encoding of stderr; never raises.

    Returns:
        How many lines were written.
    """
    text = lines.decode()
    if (getattr(stream(), "encoding", None) or "utf-8").lower() not in ("utf-8", "utf8"):
        text = ascii_json(text)  # it would write backslash escapes of its own, or fail
    return write(text, _PATIENCE_SECONDS)
