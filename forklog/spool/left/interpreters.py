"""Lets only one interpreter of a process claim a file, by the name of a socket; for `files`.

Each interpreter has modules, and so claims, of its own, and a record lock excludes none of them. An
abstract socket does, by its name, and goes with its process. A child has another PID, and so other
names, although it inherits the sockets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Any

try:
    import _xxsubinterpreters as _interpreters  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # from 3.13 on, where orjson is for the first interpreter alone
    _interpreters: Any = None  # type: ignore[no-redef]

_File = tuple[int, int]  # device and inode
Sockets = dict[_File, tuple[int, _File]]
"""Descriptors of sockets, by the file that each claims."""


def claim(own: Sockets, pid: int, file: _File) -> bool:
    """Claim a file in this interpreter; tell whether no other one has done so. Never blocks."""
    if _interpreters is None or len(_interpreters.list_all()) == 1:
        return True
    if file in own:
        return True
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as new:
            new.bind(b"\0forklog-%d-%d-%d" % (pid, *file))
            number = new.detach()
    except OSError as error:  # where none can be had, each sends it: it is shown once
        return error.errno != errno.EADDRINUSE
    own[file] = number, _identity(number)
    return True


def release(own: Sockets, file: _File) -> None:
    """Give a claim back. May be repeated."""
    number, identity = own.pop(file, (-1, (0, 0)))
    with contextlib.suppress(OSError):  # a daemon has closed all descriptors
        if _identity(number) == identity:
            os.close(number)


def _identity(number: int) -> _File:
    found = os.fstat(number)
    return found.st_dev, found.st_ino
