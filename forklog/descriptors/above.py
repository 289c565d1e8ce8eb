"""Keeps descriptors of ours away from the numbers of stdin, stdout and stderr; for all rooms.

A daemon, or a shell's `<&- >&-`, closes these three, and the next file that is opened gets the
lowest number that is free. Whatever prints would then write into a file or a connection of ours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Not on Windows, where there is no spool.
CLOEXEC, NOFOLLOW = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_NOFOLLOW", 0)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_FIRST = 3  # after those of the three standard streams


def lift(descriptor: int) -> int:
    """Move a new descriptor to a number above 2; costs a comparison where it has one.

    Before its file is locked: closing any descriptor of a file frees the process's record locks.

    Raises:
        OSError: no number is left; the given one is still open.
    """
    if descriptor >= _FIRST or fcntl is None:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    os.close(descriptor)
    return moved


def open_above(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file as `os.open` does, under a number above 2; OSError where it cannot be."""
    return _lifted(os.open(path, flags, mode, dir_fd=dir_fd))


def _lifted(descriptor: int) -> int:
    try:
        return lift(descriptor)
    except OSError:
        os.close(descriptor)
        raise


def dup_above(descriptor: int) -> int:
    """Duplicate a descriptor as `os.dup` does, under a number above 2; OSError where none is."""
    if not hasattr(fcntl, "F_DUPFD_CLOEXEC"):
        return os.dup(descriptor)
    return int(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST))


def pipe_above() -> tuple[int, int]:
    """Open a pipe, both ends under numbers above 2; OSError where it cannot be."""
    reader, writer = os.pipe()
    try:
        reader = lift(reader)
        return reader, lift(writer)
    except OSError:
        os.close(reader)
        os.close(writer)
        raise


def lift_socket(socket: Any) -> Any:
    """Return a connected socket under a number above 2: the given one, or another of its class.

    Raises:
        OSError: no number is left; the given one is closed.
    """
    if socket.fileno() >= _FIRST or fcntl is None:
        return socket
    seconds = socket.gettimeout()
    number = _lifted(socket.detach())
    moved = type(socket)(socket.family, socket.type, socket.proto, fileno=number)
    moved.settimeout(seconds)
    return moved


@contextlib.contextmanager
def filled() -> Iterator[None]:
    """Have the three numbers taken for a block, so that nothing that it opens gets one of them."""
    fillers: list[int] = []
    try:
        while not fillers or fillers[-1] < _FIRST:
            fillers.append(os.open(os.devnull, os.O_RDWR | CLOEXEC))
        yield
    finally:
        for filler in fillers:
            os.close(filler)
