"""Sessions of requests whose connects, sends and reads share one deadline; for http and tokens.

A timeout of requests is for each single wait on the socket. So a server that sends or takes a byte
now and then could hold the flush thread for ever. Here connecting, handshake, sending and reading
share one deadline, the fetching of a token included.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import math
import socket
import ssl
from typing import Any

import urllib3

from forklog.clock import monotonic
from forklog.descriptors.above import lift_socket
from forklog.process.base import home
from forklog.transports import c_locks
from forklog.transports.pools import Adapter, HttpConnection, HttpsConnection, pool_classes


class Deadline:
    """The moment at which everything that a session does has to end."""

    def __init__(self) -> None:
        """Be never, at first."""
        self._at = math.inf
        self._home = home()

    def start(self, seconds: float) -> None:
        """Be so many seconds from now."""
        self._at = monotonic() + seconds

    def is_over(self) -> bool:
        """Tell whether the moment has passed."""
        return monotonic() >= self._at

    def left(self, ceiling: float | None = None) -> float | None:
        """Return the seconds left, at most the ceiling, None for no end; TimeoutError if none.

        None are left in a child, to which a fork has copied a green thread that asks.
        """
        left = self._at - monotonic() if self._home[0] else 0.0
        if left <= 0:
            raise TimeoutError("the deadline of the request is over")
        least = left if ceiling is None else min(left, ceiling)
        return None if math.isinf(least) else least


class _Raw(io.RawIOBase):
    """What is read of a socket, against the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Readable:
    """Stands for the socket where an answer makes its file of it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._raw = _Raw(sock, deadline)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw)


class _Answer(http.client.HTTPResponse):
    """An answer; what a server sends before it, such as 103, is skipped."""

    def _read_status(self) -> tuple[str, int, str]:
        while 101 < (found := super()._read_status())[1] < 200:  # type: ignore[misc] # noqa: PLR2004
            http.client.parse_headers(self.fp)
        return found  # type: ignore[no-any-return]


def _answer(deadline: Deadline, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
    return _Answer(_Readable(sock, deadline), *args, **options)  # type: ignore[arg-type]


class _Progress:
    """How far the latest request of an adapter has come."""

    def __init__(self) -> None:
        self.is_sent = False

    def begin(self) -> None:
        self.is_sent = False

    def send(self) -> None:
        self.is_sent = True


class _Timed:
    """A connection that connects, sends and reads against a deadline; mixed into urllib3's."""

    sock: Any
    timeout: Any
    port: Any
    _dns_host: str
    response_class: Any
    _is_connecting = False

    def __init__(self, *args: Any, deadline: Deadline, progress: _Progress, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline
        self._progress = progress
        self.response_class = functools.partial(_answer, deadline)

    def connect(self) -> None:
        """Connect; what a proxy is sent for that is no part of the request."""
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._is_connecting = False

    def _new_conn(self) -> Any:
        """Connect to the first address that takes it; look the name up where a fork waits.

        The resolver of C has locks that a child would inherit. An address is not looked up again.
        """
        name, ceiling = self._dns_host, self.timeout
        try:
            for is_last, address in self._addresses(name):
                self._dns_host = address
                self.timeout = self._deadline.left(ceiling)
                try:
                    return lift_socket(super()._new_conn())  # type: ignore[misc]
                except urllib3.exceptions.HTTPError:
                    if is_last:
                        raise
        finally:
            self._dns_host = name

    def _addresses(self, name: str) -> list[tuple[bool, str]]:
        """Return the addresses of a host, each with whether it is the last.

        Raises:
            urllib3.exceptions.HTTPError: there are none; what `urllib3` itself would raise.
        """
        self._deadline.left()  # before: nothing ends a look-up once it has begun
        try:
            with c_locks.held():
                family = urllib3.util.connection.allowed_gai_family()
                found = socket.getaddrinfo(name, self.port, family, socket.SOCK_STREAM)
        except UnicodeError as error:
            text = "what stands for a host cannot be a name"
            raise urllib3.exceptions.LocationParseError(text) from error
        except OSError as error:  # urllib3 would look it up again, where no fork waits
            text = f"the name cannot be looked up: {error}"
            connection: Any = self
            raise urllib3.exceptions.NewConnectionError(connection, text) from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        return [(address is addresses[-1], address) for address in addresses]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # In one piece: the timeout of sendall is for all of it, and so is that of one write to TLS.
        # Each piece would have to get the interpreter's lock back, 5 ms each while others log.
        self.sock.settimeout(self._deadline.left())
        if not self._is_connecting:
            self._progress.send()
        super().send(data)  # type: ignore[misc]


class _HttpConnection(_Timed, HttpConnection):  # type: ignore[misc]
    pass


class _HttpsConnection(_Timed, HttpsConnection):  # type: ignore[misc]
    ssl_context: Any
    _stretch: contextlib.ExitStack

    def connect(self) -> None:
        # urllib3 keeps the class of contexts that it was imported with. Where gevent has patched
        # ssl since, that one calls itself for ever; urllib3 adds the certificates to a given one.
        if self.ssl_context is None and ssl.SSLContext is not urllib3.util.ssl_.SSLContext:
            self.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with contextlib.ExitStack() as self._stretch:
            super().connect()

    def _new_conn(self) -> Any:
        sock = super()._new_conn()
        self._stretch.enter_context(c_locks.held())  # what follows is OpenSSL's
        return sock


def _socket_options() -> list[tuple[int, int, int]]:
    """Have the kernel ask an idle peer whether it lives: it costs no wake-up of ours."""
    options = [*urllib3.connection.HTTPConnection.default_socket_options]
    options.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    if hasattr(socket, "TCP_KEEPIDLE"):
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3)):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


class DeadlineAdapter(Adapter):
    """What a session of requests sends with; all its connections obey one deadline."""

    def __init__(self, deadline: Deadline) -> None:
        """Keep the deadline; whoever sends has started it."""
        self._deadline = deadline
        self._progress = _Progress()
        super().__init__()

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        """Send a request, and take note whether any byte of it goes out."""
        self._progress.begin()
        return super().send(request, *args, **options)

    @property
    def is_sent(self) -> bool:
        """Tell whether the latest request was sent, in part at least."""
        return self._progress.is_sent

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, socket_options=_socket_options(), **options)

    def _pool_classes(self) -> dict[str, type]:
        """Return urllib3's pools by scheme, with connections that know the deadline."""
        kinds = {"http": _HttpConnection, "https": _HttpsConnection}
        given: dict[str, Any] = {"deadline": self._deadline, "progress": self._progress}
        return pool_classes({name: functools.partial(k, **given) for name, k in kinds.items()})
