"""Writes whole lines to a descriptor that may be full, within a bound; used by `stderr` alone.

The flags of an inherited descriptor belong to every process that shares it, so O_NONBLOCK is never
set on it. A pipe and a terminal are opened once more, non-blocking, through /proc; a socket is
written with MSG_DONTWAIT. What allows neither is asked for room by poll and gets small pieces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator

from forklog.clock import monotonic
from forklog.descriptors.above import dup_above, open_above
from forklog.stderr.waits import Waits

# The class in C: gevent's and eventlet's would set O_NONBLOCK on the descriptor.
try:
    import _socket
except ImportError:  # a build without sockets
    _socket = None  # type: ignore[assignment]
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


_MAX_SECONDS = 5.0  # for everything that one call is to write
_LOCK_SECONDS = 4.0  # of these for the lines of other processes; one that takes longer is stopped
_SHORT_LOCK_SECONDS = 1.0  # where there is less patience than this
_PIPE_BYTES = getattr(select, "PIPE_BUF", 512)  # so much goes into a pipe in one piece or not
_TERMINAL_BYTES = 128  # a terminal that poll calls writable takes so much without blocking
_NAP_SECONDS = 0.01
_sleep = time.sleep
_poll = getattr(select, "poll", None)  # absent on Windows, and where eventlet has patched
_NO_NOWAIT = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE})

Send = Callable[[bytes], int]


def write_lines(descriptor: int, data: bytes, patience: float, waits: Waits | None = None) -> int:
    """Write data, of which each line ends with a newline; return how many bytes were written.

    Never blocks for longer than five seconds, nor raises an OSError. Lines of several processes
    do not mix on a pipe or terminal that each of them can open again, whatever their length.
    Elsewhere they do not as long as a line fits into one piece (PIPE_BUF bytes; docs/delivery.md).

    Args:
        descriptor: a file, pipe, terminal, socket or device, blocking or not.
        data: one line or many.
        patience: seconds to wait for a reader between two pieces.
        waits: what earlier calls have waited, where five seconds bound all of them together.
    """
    waits = waits or Waits()
    with contextlib.suppress(OSError):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return _write_file(descriptor, data)
        with _opened(descriptor, mode) as (send, lock):
            size = _TERMINAL_BYTES if stat.S_ISCHR(mode) else _PIPE_BYTES
            return _Lines(descriptor, send, lock, patience, size, waits).write(data)
    return 0


def _write_file(descriptor: int, data: bytes) -> int:
    done = 0
    with contextlib.suppress(OSError):
        while done < len(data):
            done += os.write(descriptor, data[done:])
    return done


class _Lines:
    """One call of `write_lines`: where it stands, and until when it waits."""

    def __init__(  # noqa: PLR0913, PLR0917 - what `write_lines` found
        self,
        descriptor: int,
        send: Send,
        lock: int | None,
        patience: float,
        size: int,
        waits: Waits,
    ) -> None:
        self._waits = waits
        self._descriptor = descriptor
        self._send = send
        self._lock = lock
        self._patience = patience
        self._size = size
        self._deadline = monotonic() + _MAX_SECONDS
        self._until = self._deadline
        short = _SHORT_LOCK_SECONDS if patience else 0.0
        self._lock_seconds = _LOCK_SECONDS if patience >= _SHORT_LOCK_SECONDS else short
        self._lock_until = monotonic() + waits.seconds("lock", self._lock_seconds)

    def write(self, data: bytes) -> int:
        """Write until all is written, the reader stops, or the descriptor fails."""
        done, is_at_start = 0, True
        try:
            while done < len(data) and monotonic() < self._deadline:
                patience = self._waits.seconds("reader", self._patience)
                self._until = min(monotonic() + patience, self._deadline)
                if is_at_start:
                    self._acquire()
                written = self._write_piece(_piece(data, done, self._size))
                if not written:
                    break
                done += written
                is_at_start = data[done - 1 : done] == b"\n"
                if is_at_start:
                    self._release()
        finally:
            self._release()
        return done

    def _write_piece(self, piece: bytes) -> int:
        naps, began = 0.0, monotonic()
        while True:
            try:
                written = self._send(piece)
            except BlockingIOError:  # noqa: PERF203 - each round waits
                left = self._until - monotonic()
                if left <= 0:
                    self._waits.in_vain("reader", self._patience)
                    self._waits.waited(monotonic() - began)
                    return 0
                _sleep(naps)  # where poll calls writable what takes nothing
                _has_room(self._descriptor, left)
                naps = _NAP_SECONDS
            except OSError:
                return 0
            else:
                self._waits.moved("reader")
                self._waits.waited(monotonic() - began)
                return written

    def _acquire(self) -> None:
        """Keep other processes' lines out of this one; go on without where that takes too long."""
        began = monotonic()
        while self._lock is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # noqa: PERF203 - each round waits
                if monotonic() >= self._lock_until:
                    self._waits.in_vain("lock", self._lock_seconds)
                    self._lock = None
                else:
                    _sleep(_NAP_SECONDS)
            except OSError:
                self._lock = None
            else:
                self._waits.moved("lock")
                break
        self._waits.waited(monotonic() - began)

    def _release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_UN)


def _piece(data: bytes, start: int, size: int) -> bytes:
    """Return whole lines as far as they fit, or the next part of a line that does not."""
    end = data.rfind(b"\n", start, start + size) + 1
    return data[start : end or start + size]


@contextlib.contextmanager
def _opened(descriptor: int, mode: int) -> Iterator[tuple[Send, int | None]]:
    """Give the way to write without blocking, and a descriptor to lock where there is one."""
    if stat.S_ISSOCK(mode) and hasattr(_socket, "SOCK_NONBLOCK"):
        # With SOCK_NONBLOCK the object takes the descriptor as it is; a default timeout would be
        # set on it otherwise.
        kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK
        socket = _socket.socket(_socket.AF_UNIX, kind, 0, fileno=dup_above(descriptor))
        flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
        try:
            yield lambda piece: socket.send(piece, flags), None
        finally:
            socket.close()
        return
    again = _open_again(descriptor, mode)
    if again is None:
        yield lambda piece: _write_if_room(descriptor, piece), None
        return
    try:
        yield lambda piece: os.write(again, piece), again
    finally:
        os.close(again)


def _open_again(descriptor: int, mode: int) -> int | None:
    """Open the same pipe or terminal with flags of our own; None where that is not possible.

    It is not where a process has changed its user, since the pipe belongs to the old one.
    """
    if sys.platform != "linux" or not (stat.S_ISFIFO(mode) or os.isatty(descriptor)):
        return None
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        return open_above(f"/proc/self/fd/{descriptor}", flags)
    return None


def _write_if_room(descriptor: int, piece: bytes) -> int:
    """Write to a descriptor that may be a blocking one, if it has room."""
    if not _has_room(descriptor, 0):
        raise BlockingIOError
    if hasattr(os, "RWF_NOWAIT"):
        # Another process may have taken the room since.
        try:
            return os.pwritev(descriptor, [piece], -1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in _NO_NOWAIT:
                raise
    return os.write(descriptor, piece)


def _has_room(descriptor: int, seconds: float) -> bool:
    """Wait for room; true, too, where the system cannot tell."""
    if _poll is not None:
        poll = _poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))
    try:
        return bool(select.select([], [descriptor], [], seconds)[1])
    except (OSError, ValueError):  # no socket, on Windows; a number that is too high for select
        return True
