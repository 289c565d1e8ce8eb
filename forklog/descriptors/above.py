"""Keeps descriptors of ours away from the numbers of stdin, stdout and stderr; for all rooms.

A daemon, or a shell's `<&- >&-`, closes these three, and the next file that is opened gets the
lowest number that is free. Whatever prints would then write into a file or a connection of ours.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, starmap
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Not on Windows, where there is no spool.
CLOEXEC, NOFOLLOW = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_NOFOLLOW", 0)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_FIRST = 3  # after those of the three standard streams


def lift(opened: list[int]) -> None:
    """Move the first of some descriptors to a number above 2, and to the end of their list.

    Costs a comparison where it has one. Before its file is locked: closing any descriptor of a file
    frees the process's record locks. An exception of a signal handler leaves in the list what is
    open, and nothing else. So whoever closes all of it closes no number twice.

    Raises:
        OSError: no number is left; the list is unchanged.
    """
    if opened[0] >= _FIRST or fcntl is None:
        opened[:] = [*opened[1:], opened[0]]
        return
    opened.extend(starmap(fcntl.fcntl, ((opened[0], fcntl.F_DUPFD_CLOEXEC, _FIRST),)))
    # In one step of C: another thread may get the number as soon as it is closed.
    deque(map(os.close, map(opened.pop, (0,))), maxlen=0)


def open_into(
    opened: list[int], path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
) -> None:
    """Open a file as `os.open` does, and put its number, which is above 2, into an empty list.

    What an exception leaves in the list is open, see `lift`.
    """
    opened.extend(starmap(partial(os.open, dir_fd=dir_fd), ((path, flags, mode),)))
    lift(opened)


def open_above(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file as `os.open` does, under a number above 2; OSError where it cannot be."""
    opened: list[int] = []
    try:
        open_into(opened, path, flags, mode, dir_fd=dir_fd)
        return opened[0]
    except BaseException:
        deque(map(os.close, opened), maxlen=0)
        raise


def dup_above(descriptor: int) -> int:
    """Duplicate a descriptor as `os.dup` does, under a number above 2; OSError where none is."""
    if not hasattr(fcntl, "F_DUPFD_CLOEXEC"):
        return os.dup(descriptor)
    return int(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST))


def pipe_above() -> tuple[int, int]:
    """Open a pipe, both ends under numbers above 2; OSError where it cannot be."""
    opened: list[int] = []
    try:
        opened.extend(chain.from_iterable(starmap(os.pipe, ((),))))
        lift(opened)
        lift(opened)
        return opened[0], opened[1]
    except BaseException:
        deque(map(os.close, opened), maxlen=0)
        raise


def lift_socket(socket: Any) -> Any:
    """Return a connected socket under a number above 2: the given one, or another of its class.

    Raises:
        OSError: no number is left; the given one is closed.
    """
    if socket.fileno() >= _FIRST or fcntl is None:
        return socket
    try:  # the given one has its number until it is closed, by itself alone
        number = dup_above(socket.fileno())
        moved = type(socket)(socket.family, socket.type, socket.proto, fileno=number)
        moved.settimeout(socket.gettimeout())
    finally:
        socket.close()
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
        deque(map(os.close, fillers), maxlen=0)
