"""Connects the flush of `exit_hooks` to each loaded server that ends processes its own way.

A server of Python's is known by a module that the process has imported. Nothing is imported here: a
server that is not loaded does not run this process.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from forklog.process.servers import celery, gunicorn, rq, uvicorn, uwsgi

if TYPE_CHECKING:
    from forklog.process.servers.protocol import PythonServer, Server


SERVERS: dict[str, PythonServer] = {
    "celery": celery,
    "rq": rq,
    "gunicorn": gunicorn,
    "uvicorn": uvicorn,
}
"""Those that fork in Python, by the package that they are imported by."""
ALL: dict[str, Server] = {**SERVERS, "uwsgi": uwsgi}
"""The most particular first: a worker of gunicorn may run uvicorn's server."""
_connected: set[str] = set()  # inherited by a forked child, as the connections are


_Flush = Callable[[], object]


def connect(flush: _Flush, flush_for_now: _Flush) -> None:
    """Have ``flush()`` called where one of the servers is about to end this process. Never raises.

    Calling it again connects only what was loaded meanwhile.

    Args:
        flush: called where the process ends.
        flush_for_now: called where it may live on.
    """
    for server in SERVERS.values():
        _connect(server, flush_for_now if server.MAY_GO_ON else flush)


def connect_forked(flush: _Flush, flush_for_now: _Flush) -> None:
    """Connect in a child, at the fork, to servers whose child may log its first record too late.

    The others can wait for the first record. Celery's signal takes a lock to be connected, which
    another thread of the parent may have held at the fork.
    """
    for server in SERVERS.values():
        if server.CONNECTS_AT_FORK:
            _connect(server, flush_for_now if server.MAY_GO_ON else flush)


def connected() -> set[str]:
    """Return the `HOOK` of each server that is connected, here or in an ancestor."""
    return {server.HOOK for server in SERVERS.values() if server.MODULE in _connected}


def _connect(server: PythonServer, flush: _Flush) -> None:
    module = sys.modules.get(server.MODULE)
    if module is not None and server.MODULE not in _connected:
        with contextlib.suppress(Exception):  # half imported, or unlike the versions known
            server.connect(module, flush)
            _connected.add(server.MODULE)
