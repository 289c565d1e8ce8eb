"""Connects the flush of `exit_hooks` to each loaded server that ends processes its own way.

A server of Python's is known by a module that the process has imported. Nothing is imported here: a
server that is not loaded does not run this process.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, Protocol

from forklog.process.servers import celery, gunicorn, rq, uvicorn


class Server(Protocol):
    """What each file in `forklog.process.servers` offers, besides uWSGI's."""

    @property
    def MODULE(self) -> str:  # noqa: N802 - a constant of the file
        """A process that has imported this module may be run by the server."""

    @property
    def HOOK(self) -> str:  # noqa: N802
        """What `connect` uses, in the words of the documentation."""

    @property
    def CONNECTS_AT_FORK(self) -> bool:  # noqa: N802
        """Whether a child has to connect at the fork, before its first record."""

    @property
    def MAY_GO_ON(self) -> bool:  # noqa: N802
        """Whether the process may live on after the hook."""

    def connect(self, module: Any, flush: Callable[[], object]) -> None:
        """Have ``flush()`` called where the server is about to end this process."""

    def runs_hook(self, process: str, /) -> bool:
        """Tell whether a process ends by `HOOK`, not by Python's; named as in `diagnosis`. Pure."""

    def ends_without_hook(self, process: str, /) -> tuple[str, ...]:
        """Return the ends of such a process at which nothing of ours runs. Pure."""


SERVERS: dict[str, Server] = {
    "celery": celery,
    "rq": rq,
    "uvicorn": uvicorn,
    "gunicorn": gunicorn,
}
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
    """Return the `Server.HOOK` of each server that is connected, here or in an ancestor."""
    return {server.HOOK for server in SERVERS.values() if server.MODULE in _connected}


def _connect(server: Server, flush: _Flush) -> None:
    module = sys.modules.get(server.MODULE)
    if module is not None and server.MODULE not in _connected:
        with contextlib.suppress(Exception):  # half imported, or unlike the versions known
            server.connect(module, flush)
            _connected.add(server.MODULE)
