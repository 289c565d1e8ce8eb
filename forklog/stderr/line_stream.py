"""Prints whole lines to a text stream, for the handler that prints entries for an agent.

A stream that is a plain UTF-8 file of Python's own gets its lines past its buffer, at its
descriptor. So they stay whole between processes. Any other stream decides for itself what a line
becomes: it may compress, recode or copy it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
from typing import Any

from forklog.stderr.descriptor import write_lines
from forklog.stderr.printable import ascii_json

_STDOUT = 1
_PATIENCE_SECONDS = 5.0  # for the reader of a pipe that is full


class LinePrinter:
    """Print lines, now to this stream and now to that one. Takes no lock.

    Args:
        stdout: the stream that stands for the descriptor of stdout; None if there is none.
    """

    def __init__(self, stdout: Any) -> None:
        """Print nothing yet."""
        self._stdout = stdout
        self._torn: int | None = None  # a descriptor whose last line could not be finished

    def descriptor_of(self, stream: Any) -> int | None:
        """Return where a stream's lines are written to; None if its ``write`` has to be called."""
        if self._stdout is not None and stream is self._stdout:
            return _STDOUT
        return _descriptor_of(stream)

    def put(self, stream: Any, text: str) -> None:
        """Write lines.

        Waits for the reader of a full pipe, five seconds at most.

        Raises:
            OSError: the reader does not take them.
            Exception: what the ``write`` of a stream of the application raises.
        """
        descriptor = self.descriptor_of(stream)
        if descriptor is None:
            try:
                stream.write(text + "\n")
            except UnicodeEncodeError:  # of the stream's encoding; it has written nothing
                stream.write(ascii_json(text) + "\n")
            flush = getattr(stream, "flush", None)
            if flush is not None:
                flush()
            return
        if descriptor != _STDOUT:
            # What the application has written there stands before. In a signal handler that struck
            # within a write of the same stream, it may not be flushed.
            with contextlib.suppress(OSError, RuntimeError):
                stream.flush()
        is_torn = self._torn == descriptor
        # A new line first, where an earlier one could not be finished.
        data = (b"\n" if is_torn else b"") + text.encode() + b"\n"
        written = write_lines(descriptor, data, _PATIENCE_SECONDS)
        if 0 < written < len(data) or (is_torn and not written):
            self._torn = descriptor
        elif is_torn:
            self._torn = None
        if written < len(data):
            raise OSError(f"{written} of {len(data)} bytes of a line could be written")


def _descriptor_of(stream: Any) -> int | None:
    """Return the descriptor of a plain UTF-8 file; None for any stream that may be more."""
    if type(stream) is not io.TextIOWrapper:
        return None
    try:
        buffer = stream.buffer
        raw = buffer.raw if type(buffer) is io.BufferedWriter else buffer
        if type(raw) is not io.FileIO or codecs.lookup(stream.encoding).name != "utf-8":
            return None
        descriptor = raw.fileno()
        os.fstat(descriptor)
    except (OSError, LookupError, ValueError):  # closed, or detached
        return None
    return descriptor
