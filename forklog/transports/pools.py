"""Connection pools for the sessions of `deadline`: without locks, and empty in a forked child.

urllib3 closes each pool in a finalizer that a forked child runs as well, at its exit. It empties
the pool's queue, whose lock another thread of the parent may have held at the fork.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections import deque
from collections.abc import Mapping
from typing import Any

import requests
import urllib3

from forklog.process.base import home
from forklog.transports.untouched import genuine, untouched

_POOLS: dict[str, Any] = {
    "http": untouched(urllib3.HTTPConnectionPool),
    "https": untouched(urllib3.HTTPSConnectionPool),
}
HttpConnection: Any = untouched(genuine(urllib3.connection, "HTTPConnection"))
HttpsConnection: Any = untouched(genuine(urllib3.connection, "HTTPSConnection"))
_CONNECTIONS = {"http": HttpConnection, "https": HttpsConnection}
_Session = untouched(requests.Session)


_Identity = tuple[int, int]  # device and inode


class ConnectionQueue:
    """The connections of one pool, the latest first. What a child inherits gives nothing away.

    It stands for the `queue.LifoQueue` of urllib3. It never waits: our pools do not block.
    A daemon may have closed all descriptors, and the application opened files since. A connection
    whose number is another file's by now is never used or closed.
    """

    def __init__(self, maxsize: int = 0) -> None:
        """Belong to the calling process."""
        self.queue: deque[tuple[Any, _Identity | None]] = deque()
        self._maxsize = maxsize
        self._home = home()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002, FBT001, FBT002 - as a queue
        """Return the latest item; `queue.Empty` if there is none, and always in a child."""
        with contextlib.suppress(IndexError):
            return self._latest()
        raise queue.Empty

    def _latest(self) -> Any:
        while self._home[0]:
            connection, seen = self.queue.pop()
            if _socket_of(connection) == seen:
                return connection
            connection.sock.detach()
        raise queue.Empty

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - as a queue
        """Add an item; `queue.Full` if there is no room."""
        if 0 < self._maxsize <= len(self.queue):
            raise queue.Full
        self.queue.append((item, _socket_of(item)))

    def qsize(self) -> int:
        """Return the number of items."""
        return len(self.queue)


def _socket_of(connection: Any) -> _Identity | None:
    """Return what tells a connection's socket from all other files, None for one without."""
    number = connection.sock.fileno() if connection is not None and connection.sock else -1
    with contextlib.suppress(OSError):  # closed by other code
        status = os.fstat(number)
        return status.st_dev, status.st_ino
    return None


def pool_classes(connections: Mapping[str, Any] | None = None) -> dict[str, type]:
    """Return urllib3's classes of pools by scheme, with our queue.

    Args:
        connections: by scheme, what makes a connection; an untouched class if None.
    """
    made = {}
    for scheme, base in _POOLS.items():
        connection = (connections or _CONNECTIONS)[scheme]
        more = {"QueueCls": ConnectionQueue, "ConnectionCls": staticmethod(connection)}
        made[scheme] = type(base.__name__, (base,), more)
    return made


class Adapter(untouched(requests.adapters.HTTPAdapter)):  # type: ignore[misc]
    """What a session of requests sends with, on pools of ours, through a proxy as well."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes()

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pools of connections through a proxy.

        Raises:
            InvalidSchema: it speaks SOCKS. The connections for that know neither our deadline nor
                that a fork waits for what they do.
        """
        if proxy.lower().startswith("socks"):
            raise requests.exceptions.InvalidSchema("a proxy of SOCKS is not supported")
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        """Refuse to be copied: google.auth would use the copy in threads of its own."""
        raise TypeError("an adapter of forklog's cannot be copied; it belongs to one thread")

    def _pool_classes(self) -> dict[str, type]:
        return pool_classes()


def session(adapter: Adapter | None = None) -> requests.Session:
    """Return a new session that sends with the adapter; no other kind of session is used here."""
    new = _Session()
    for prefix in ("http://", "https://"):
        new.mount(prefix, adapter or Adapter())
    return new
