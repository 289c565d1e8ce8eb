"""The one way to the user's terminal: short lines on stderr, each kind at most once a minute."""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Any

from forklog.clock import monotonic
from forklog.fork import pid

__all__ = ["Report", "has_room", "pipe_of", "stderr"]

INTERVAL = 60.0


def pipe_of(stream: object) -> int | None:
    """Return the descriptor of a stream that writes into a pipe, whose reader may be stuck."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


def has_room(pipe: int, seconds: float = 0.0) -> bool:
    """Tell whether a pipe takes a short write at once; wait so long for its reader."""
    try:
        return bool(select.select([], [pipe], [], seconds)[1])
    except ValueError:  # a number that is too high for select
        return True


def stderr() -> Any:
    """Return the stream to write to: stderr, or the first one if something else took its place.

    celery, and many an application, put an object there whose `write` logs; what is said here must
    not come back as a record.
    """
    is_stream = sys.stderr is None or isinstance(sys.stderr, io.TextIOBase)
    return sys.stderr if is_stream else sys.__stderr__


def _to_stderr(line: str) -> None:
    with contextlib.suppress(Exception):  # closed, or None
        stream = stderr()
        pipe = pipe_of(stream)
        if pipe is None or has_room(pipe):
            stream.write(line)
            stream.flush()


class Report:
    """Say things on stderr, rate-limited by key. Never raises; never goes through `logging`."""

    def __init__(
        self,
        write: Callable[[str], object] = _to_stderr,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Take the place to write to and the clock as parameters, for tests."""
        self._write = write
        self._now = now
        self._said: dict[str, float] = {}
        self._withheld: dict[str, int] = {}

    def say(self, key: str, text: str) -> bool:
        """Write one line unless one with this key was written within the last minute."""
        now = self._now()
        last = self._said.get(key)
        if last is not None and now - last < INTERVAL:
            return False
        self._said[key] = now
        self._write(f"forklog[{pid()}]: {' '.join(text.split())}\n")
        return True

    def drop(self, reason: str, entries: int, why: str = "") -> None:
        """Say that entries were dropped: a line a minute and reason, with the sum since then."""
        total = self._withheld.pop(reason, 0) + entries
        if not total:
            return
        because = f"{reason}: {why}" if why else reason
        if not self.say(f"drop:{reason}", f"dropped {total} log entries ({because})"):
            self._withheld[reason] = total

    def catch_up(self) -> None:
        """Say what the rate limit has withheld, as far as its minute is over."""
        for reason in list(self._withheld):
            self.drop(reason, 0)

    def finish(self) -> None:
        """Say what is still withheld; for the end of the process."""
        for reason, total in self._withheld.items():
            self._write(f"forklog[{pid()}]: dropped {total} more log entries ({reason})\n")
        self._withheld.clear()
