"""The wire against servers that misbehave below HTTP: every way of holding a sender is bounded."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import google.auth.exceptions
import pytest
from helpers import state_numbers, wait_until
from wire import OK, RawServer, answer, make_certificate, read_request, reset

from forklog.delivery.buffer import Buffer
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.sender import Sender
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import WireError
from forklog.transports.deadline import Deadline
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

_LARGE = [b'{"insertId":"%d","textPayload":"%b"}' % (n, b"x" * 200_000) for n in range(40)]
_SMALL = [b'{"insertId":"1","textPayload":"hello"}']
_TIMEOUT = 0.6
_GENEROUS = 6.0  # for a loaded machine; unbounded, each of these would last minutes


class _Token(google.auth.credentials.Credentials):
    """A token that costs nothing."""

    def refresh(self, request: object) -> None:
        assert request is not None
        self.token = "t"  # noqa: S105


def _transport(endpoint: str, **options: Any) -> HttpTransport:
    given = {"project": "p", "endpoint": endpoint, "credentials": _Token(), **options}  # type: ignore[no-untyped-call]
    given.setdefault("resource", {"type": "global", "labels": {}})
    return HttpTransport(Options(**given), lambda _project: None)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context for 127.0.0.1, and who signed it."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


def _never_answers(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    over.wait(60)


def _drips_the_head(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.05):
        connection.sendall(b"x")


def _drips_the_body(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b" ")


def _never_reads(connection: socket.socket, over: Any) -> None:
    assert connection.fileno() >= 0
    over.wait(60)


def _drips_its_reading(connection: socket.socket, over: Any) -> None:
    while not over.wait(0.05):
        connection.recv(1000)


_WAYS = [_never_answers, _drips_the_head, _drips_the_body, _never_reads, _drips_its_reading]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.__name__.strip("_"))
def test_no_server_holds_the_sender_longer_than_the_timeout(
    way: Callable[..., object],
    scheme: str,
    certificate: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence, a byte now and then, taking nothing or little: the request ends at its timeout."""
    context, signer = certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(signer))
    entries = _LARGE if "read" in way.__name__ else _SMALL  # more than the sockets hold, or less
    with RawServer(lambda c: way(c, server.over), context if scheme == "https" else None) as server:
        connection = _transport(server.url).open()
        start = time.monotonic()
        with pytest.raises(WireError, match="did not answer in time") as caught:
            connection.send(entries, _TIMEOUT)
        took = time.monotonic() - start
        connection.close()
    state_numbers(f"{scheme} {way.__name__}: {took:.2f} s at a timeout of {_TIMEOUT} s")
    assert 0.9 * _TIMEOUT < took < _GENEROUS
    assert not caught.value.is_blocked


def test_connecting_has_a_timeout_of_its_own() -> None:
    """If the connection is not taken, connect_timeout ends the attempt, not answer_timeout."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(3):  # a queue of one, and what the kernel adds to it
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        connection = _transport(url, connect_timeout=0.3).open()
        start = time.monotonic()
        with pytest.raises(WireError, match="in time"):
            connection.send(_SMALL, 60)
        took = time.monotonic() - start
        connection.close()
        for one in waiting:
            one.close()
    assert 0.25 < took < _GENEROUS


def test_a_handshake_that_hangs_is_bounded(certificate: tuple[ssl.SSLContext, Path]) -> None:
    """A server that accepts and never says a word of TLS costs connect_timeout."""
    assert certificate
    with RawServer(lambda c: _never_reads(c, server.over)) as server:
        url = server.url.replace("http:", "https:")
        connection = _transport(url, connect_timeout=0.3).open()
        start = time.monotonic()
        with pytest.raises(WireError):
            connection.send(_SMALL, 60)
        assert 0.25 < time.monotonic() - start < _GENEROUS
        connection.close()


@pytest.mark.parametrize("way", ["garbage", "reset", "closed"])
def test_a_failing_handshake_passes(way: str) -> None:
    """TLS that breaks off is a passing failure."""

    def act(connection: socket.socket) -> None:
        connection.recv(1000)
        if way == "garbage":
            connection.sendall(b"HTTP/1.0 400 no TLS here\r\n\r\n")
        elif way == "reset":
            reset(connection)

    with RawServer(act) as server:
        connection = _transport(server.url.replace("http:", "https:")).open()
        with pytest.raises(WireError, match="no connection to the server") as caught:
            connection.send(_SMALL, 10)
        connection.close()
    assert not caught.value.is_blocked


@pytest.mark.parametrize("fault", ["not trusted", "another name"])
def test_a_wrong_certificate_blocks(
    fault: str,
    tmp_path: Path,
    certificate: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No other answer is taken for the server's; the remedy is shown, and no byte was sent."""
    context, signer = certificate
    if fault == "another name":
        context, signer = make_certificate(tmp_path, "127.0.0.2")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(signer))
    read: list[bytes] = []
    with RawServer(lambda c: read.append(c.recv(100)), context) as server:
        connection = _transport(server.url).open()
        with pytest.raises(WireError, match="certificate is not trusted, or not for") as caught:
            connection.send(_SMALL, 10)
        connection.close()
    assert caught.value.is_blocked
    assert read in ([], [b""])


def test_a_name_that_is_not_found_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that fails is a passing failure."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    connection = _transport("https://logging.example").open()
    with pytest.raises(WireError, match="no connection to the server") as caught:
        connection.send(_SMALL, 10)
    connection.close()
    assert not caught.value.is_blocked


def _refused(_connection: socket.socket) -> None:
    return


def _hangs_up(connection: socket.socket) -> None:
    connection.recv(1000)
    reset(connection)


class _NoToken(_Token):
    def before_request(self, *_given: Any) -> None:
        raise google.auth.exceptions.TransportError("no token")


@pytest.mark.parametrize(
    "way", ["refused", "no address", "no handshake", "no tunnel", "no token", "late"]
)
def test_what_was_never_sent_is_no_fault_of_an_entry(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of which no byte went out is not split, however often that happens.

    Closes: a failure of the way to the server that is taken for one of the content.
    """

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    def end_of_tunnel(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    act = {"no handshake": _hangs_up, "no tunnel": end_of_tunnel}.get(way, _refused)
    with RawServer(act) as server:
        url = server.url
        if way == "no address":
            monkeypatch.setattr(socket, "getaddrinfo", fail)
            url = "https://logging.example"
        elif way == "no handshake":
            url = url.replace("http:", "https:")
        elif way == "no tunnel":
            monkeypatch.setenv("HTTPS_PROXY", url)
            monkeypatch.setenv("NO_PROXY", "")
            url = "https://logging.example"
        elif way == "refused":
            server.close()
        token = (_NoToken if way == "no token" else _Token)()  # type: ignore[no-untyped-call]
        resource = {"type": "global", "labels": {}}
        bench = _Bench(url, max_retry_delay=0.1, credentials=token, resource=resource)
        for _ in range(4):
            bench.log()
        for _ in range(7):
            if way == "late":
                bench.sender._wire.connection = _over_at_once(bench)
            assert bench.sender.send_once() is SendResult.LATER
            bench.sender._wire.close()
    assert [len(batch.entries) for batch in bench.sender._in_flight.batches] == [4]


def _over_at_once(bench: Any) -> Any:
    """Return a connection whose deadline is over before it connects."""
    connection: Any = bench.sender.transport.open()
    connection._deadline.start = lambda _seconds: Deadline.start(connection._deadline, -1.0)
    return connection


@pytest.mark.parametrize("way", ["reset", "no answer", "503"])
def test_what_was_sent_may_be_the_fault_of_an_entry(way: str) -> None:
    """Once bytes of the request went out, three failures split the batch."""

    def act(connection: socket.socket) -> None:
        read_request(connection)
        if way == "reset":
            reset(connection)
        elif way == "503":
            answer(connection, 503)
        else:
            server.over.wait(60)

    with RawServer(act) as server:
        bench = _Bench(server.url, answer_timeout=0.3, max_retry_delay=0.1)
        for _ in range(4):
            bench.log()
        for _ in range(3):
            assert bench.sender.send_once() is SendResult.LATER
            bench.sender._wire.close()
        assert len(bench.sender._in_flight.batches) == 2


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_reset_in_the_answer_passes(end: str) -> None:
    """An answer that breaks off is no answer."""

    def act(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK[:-1])
        if end == "reset":
            reset(connection)

    with RawServer(act) as server:
        connection = _transport(server.url).open()
        with pytest.raises(WireError, match="no connection to the server"):
            connection.send(_SMALL, 10)
        connection.close()


class _Bench:
    """A sender on the real wire, whose jitter is at its highest."""

    def __init__(self, url: str, **options: Any) -> None:
        self.options = Options(project="p", endpoint=url, **options)
        self.buffer = Buffer(10**7, lambda: None)
        self.lines: list[str] = []
        transport = HttpTransport(self.options, lambda _project: None)
        report = StderrReporter(self.lines.append)
        self.sender = Sender(self.options, self.buffer, transport, report, lambda: 1.0)
        self.ids = InsertIds()

    def log(self, text: str = "t") -> None:
        entry = b'%b%010x","textPayload":"%b"}'
        self.buffer.offer(2, entry % (self.ids.head, self.ids.number(), text.encode()))


def test_an_idle_connection_that_the_server_closes_costs_nothing() -> None:
    """Closed in order after an answer: the next request makes a new connection, without a retry."""

    def act(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        for n in range(1, 4):
            bench.log()
            assert bench.sender.send_once() is SendResult.SENT
            wait_until(lambda n=n: server.closed == n)
        bench.sender.close()
    assert (bench.sender.ledger.requests, bench.sender.ledger.retries, server.accepted) == (
        3,
        0,
        3,
    )


def test_a_connection_closed_under_a_request_is_tried_again_at_once_one_time() -> None:
    """The server closes as the second request comes: no backoff; closing again, backoff."""
    bodies: list[bytes] = []
    lives = [2, 0, 1]  # answers that each connection gives before it closes

    def act(connection: socket.socket) -> None:
        for _ in range(lives.pop(0) - 1):
            bodies.append(read_request(connection)[1])
            connection.sendall(OK)
        bodies.append(read_request(connection)[1])
        if lives == []:
            connection.sendall(OK)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        bench.log("first")
        assert bench.sender.send_once() is SendResult.SENT
        bench.log("second")
        assert (bench.sender.send_once(), bench.sender.delay) == (SendResult.LATER, 0.0)
        assert (bench.sender.send_once(), bench.sender.delay) == (SendResult.LATER, 2.0)
        assert bench.sender.send_once() is SendResult.SENT
        bench.sender.close()
    assert bodies[1] == bodies[2] == bodies[3], "the same bytes, three times"


def test_a_retry_after_date_is_counted_from_the_servers_clock() -> None:
    """Seven seconds are seven seconds, wherever this machine's clock is."""
    dates = ("Date: Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After: Wed, 21 Oct 2015 07:28:07 GMT")

    def act(connection: socket.socket) -> None:
        read_request(connection)
        answer(connection, 503, None, *dates)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        bench.log()
        assert (bench.sender.send_once(), bench.sender.delay) == (SendResult.LATER, 7.0)
        bench.sender.close()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {}, "renew"),
        (403, {"error": {"status": "PERMISSION_DENIED"}}, "iam-admin/iam?project=p and enable"),
        (404, {"error": {"status": "NOT_FOUND"}}, "options project and endpoint"),
    ],
)
def test_a_blocked_wire_says_who_where_and_what(status: int, body: Any, said: str) -> None:
    """The line has project, account or endpoint, and the place to fix it; then it works."""
    statuses = [status, status, 200]

    def act(connection: socket.socket) -> None:
        while True:
            read_request(connection)
            answer(connection, statuses.pop(0), body)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        bench.log()
        for _ in range(2):
            assert (bench.sender.send_once(), bench.sender.delay) == (SendResult.LATER, 30.0)
        assert bench.sender.send_once() is SendResult.SENT
        bench.sender.close()
    trouble, again = bench.lines
    assert said in trouble
    assert "log delivery works again" in again


def test_halving_against_a_server_with_limits_of_its_own() -> None:
    """413 above three entries and 400 for one of them: that one is lost, the rest in order."""
    stored: list[str] = []

    def act(connection: socket.socket) -> None:
        while True:
            _, body = read_request(connection)
            texts = [part.split(b'"')[0].decode() for part in body.split(b'"textPayload":"')[1:]]
            if len(texts) > 3:
                answer(connection, 413)
            elif "poison" in texts:
                answer(connection, 400, {"error": {"status": "INVALID_ARGUMENT"}})
            else:
                stored.extend(texts)
                answer(connection, 200)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        texts = [f"t{n}" for n in range(20)]
        for text in [*texts[:11], "poison", *texts[11:]]:
            bench.log(text)
        while bench.sender.send_once() is SendResult.SENT:
            pass
        bench.sender.close()
    assert stored == texts
    assert bench.sender.ledger.dropped == {"refused": 1}
    assert "dropped 1 log entries (refused: 400 INVALID_ARGUMENT)" in bench.lines[0]


def test_an_idle_connection_is_watched_by_the_kernel() -> None:
    """Keep-alive probes find a peer that is gone, without a wake-up of ours."""

    def act(connection: socket.socket) -> None:
        while True:
            read_request(connection)
            connection.sendall(OK)

    with RawServer(act) as server:
        bench = _Bench(server.url)
        bench.log()
        assert bench.sender.send_once() is SendResult.SENT
        adapter: Any = bench.sender._wire.connection._adapter  # type: ignore[union-attr]
        pools = adapter.poolmanager.pools
        sock = pools[next(iter(pools.keys()))].pool.queue[-1][0].sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        bench.sender.close()
