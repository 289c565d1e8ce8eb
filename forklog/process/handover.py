"""The hand-over: a pipe by which exactly one descendant takes each entry that a process holds.

A process that holds its records, as a uWSGI master does, has a pipe that all its descendants
inherit. It writes there the range of sequence numbers that wait for a taker. Reading from a pipe is
atomic: what one descendant has read no other will. A reader that was forked before some of the
records were held has no copy of those, and writes their range back.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct

from forklog.descriptors.above import pipe_above

_RANGE = struct.Struct("=QQ")
_NO_PIPE = (-1, -1)


class HandoverToken:
    """The token pipe of one holding process. No call blocks; safe across forks."""

    def __init__(self) -> None:
        """Open the pipe; both ends are closed by exec and never inherited by subprocesses."""
        self._reader = self._writer = -1
        self._identity = _NO_PIPE
        self._unoffered: list[tuple[int, int]] = []
        # An exception of a signal handler may come after any call. So what was read from the pipe
        # stays here until it is claimed or written back.
        self._read: list[bytes] = []
        self._open()

    def _open(self) -> None:
        """Open the pipe unless it is; without a free descriptor `offer` tries again later."""
        with contextlib.suppress(OSError):
            if self._identity == _NO_PIPE:
                self._reader, self._writer = pipe_above()
                self._identity = _identity(self._reader)
                os.set_blocking(self._reader, False)
                os.set_blocking(self._writer, False)

    def offer(self, low: int, high: int) -> None:
        """Offer more entries: those with sequence numbers from ``low`` up to, without, ``high``."""
        self._open()
        self._unoffered.append((low, high))
        if self._identity == _NO_PIPE:
            return
        ranges: list[tuple[int, int]] = []
        for begin, end in sorted((*self._read_all(), *self._unoffered)):
            if ranges and begin <= ranges[-1][1]:  # less, if an exception had it held again
                ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
            else:
                ranges.append((begin, end))
        self._write_all(ranges)
        self._unoffered.clear()
        self._read.clear()

    def claim(self, end: int, into: list[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
        """Take all that is offered below ``end``, as half-open ranges; leave the rest to others.

        Returns:
            The list ``into``, where they are added in one step, or a new one.
        """
        mine, others = [], []
        for low, high in self._read_all():
            if low < end:
                mine.append((low, min(high, end)))
            if high > end:
                others.append((max(low, end), high))
        claimed = [] if into is None else into
        claimed.extend(mine)
        self._write_all(others)
        self._read.clear()
        return claimed

    def close(self) -> None:
        """Close this process's ends; other processes keep theirs."""
        for descriptor in (self._reader, self._writer):
            with contextlib.suppress(OSError):
                if _identity(descriptor) == self._identity:
                    os.close(descriptor)
        self._reader = self._writer = -1

    def _read_all(self) -> list[tuple[int, int]]:
        with contextlib.suppress(OSError):  # empty, or closed by a daemon that closes everything
            if _identity(self._reader) == self._identity:  # else its number is another file's now
                self._read.extend(itertools.starmap(os.read, ((self._reader, 4096),)))  # one step
        data = b"".join(self._read)
        return list(_RANGE.iter_unpack(data[: len(data) // _RANGE.size * _RANGE.size]))

    def _write_all(self, ranges: list[tuple[int, int]]) -> None:
        if ranges:
            with contextlib.suppress(OSError):
                if _identity(self._writer) == self._identity:
                    os.write(self._writer, b"".join(_RANGE.pack(*r) for r in ranges))


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
