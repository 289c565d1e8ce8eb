"""Waits between two polls of `forklog tail`; ends it when the reader of its output has gone.

A file of its own: the command knows nothing of descriptors and `poll`.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from typing import TextIO


def pause(seconds: float, output: TextIO) -> None:
    """Wait so long. Ctrl-C interrupts it.

    Raises:
        BrokenPipeError: the output is a pipe, and its reader has gone.
    """
    pipe = _pipe_of(output)
    if pipe is None:
        time.sleep(seconds)
        return
    watch = select.poll()
    watch.register(pipe, 0)  # the end of the reader is always reported
    if watch.poll(seconds * 1000):
        raise BrokenPipeError


def _pipe_of(output: TextIO) -> int | None:
    """Return the descriptor of an output that is a pipe, where the system can watch it."""
    if not hasattr(select, "poll"):
        return None
    try:
        number = output.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
    return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
