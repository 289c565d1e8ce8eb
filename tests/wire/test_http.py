"""The HTTP wire and its access, against real servers on this machine."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import google.auth.exceptions
import google.oauth2.credentials
import pytest
from helpers import check_python
from wire import JsonHandler, RawServer, answer, make_certificate, read_request, served

from forklog import CloudLoggingHandler
from forklog.errors import NoCredentialsError
from forklog.options import Options
from forklog.transports.base import Envelope, EnvelopeConnection, Kind, WireError
from forklog.transports.deadline import Deadline
from forklog.transports.google.access import find_access
from forklog.transports.http import HttpTransport
from forklog.transports.tokens import token_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator

_ENTRY = b'{"insertId":"1","textPayload":"hello"}'


class _Server(ThreadingHTTPServer):
    """A server that does with each request what the test says, and remembers them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.sockets: list[Any] = []
        self.act: Callable[[_Handler], object] = lambda handler: handler.reply(200)

    def handle_error(self, *_: object) -> None:
        """Broken connections are what some tests are about."""


class _Handler(JsonHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.sockets.append(self.request)

    def post(self) -> None:
        self.server.requests.append((dict(self.headers), {"path": self.path, **self.asked()}))
        self.server.act(self)


@pytest.fixture
def server() -> Iterator[_Server]:
    """Run the server in a thread of this process."""
    running = _Server()
    with served(running):
        yield running
        for connection in running.sockets:
            connection.close()


def _transport(endpoint: str, **options: Any) -> HttpTransport:
    given = {"project": "p", "endpoint": endpoint, **options}
    return HttpTransport(Options(**given), lambda _project: None)


def test_the_envelope_is_what_entries_write_takes(server: _Server) -> None:
    """Path, logName, resource, labels, partialSuccess, and the entries' bytes unchanged."""
    connection = _transport(server.url, log_name="a/b", labels={"env": "prod"}).open()
    assert connection.ask([_ENTRY, _ENTRY], 5)[0].status == 200
    ((headers, body),) = server.requests
    assert body == {
        "path": "/v2/entries:write",
        "logName": "projects/p/logs/a%2Fb",
        "resource": {"type": "global", "labels": {"project_id": "p"}},
        "labels": {"env": "prod"},
        "partialSuccess": True,
        "entries": [json.loads(_ENTRY)] * 2,
    }
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("forklog/")
    assert "Authorization" not in headers
    connection.close()


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        (("K_SERVICE", "K_REVISION", "K_CONFIGURATION"), "cloud_run_revision"),
        (("GAE_SERVICE", "GAE_VERSION", "GAE_INSTANCE"), "gae_app"),
        ((), "global"),
    ],
)
def test_a_server_without_a_token_gets_the_resource_of_the_environment(
    server: _Server, monkeypatch: pytest.MonkeyPatch, variables: tuple[str, ...], kind: str
) -> None:
    """The resource is the one that the handler names, by the rules; no metadata server is asked."""
    monkeypatch.setattr("forklog.transports.google.resource.read_metadata", None)
    for name in variables:
        monkeypatch.setenv(name, "x")
    connection = _transport(server.url).open()
    connection.ask([_ENTRY], 5)
    connection.close()
    ((_, body),) = server.requests
    handler = CloudLoggingHandler(project="p", endpoint=server.url)
    found = handler.resource
    handler.close()
    assert body["resource"] == (found if isinstance(found, dict) else found._to_dict())
    assert body["resource"]["type"] == kind
    assert body["resource"]["labels"]["project_id"] == "p"


def test_another_log_keeps_the_project(server: _Server) -> None:
    """An envelope replaces log, labels and resource of one request; the project stays ours."""
    connection = _transport(server.url, log_name="ours", labels={"env": "prod"}).open()
    assert isinstance(connection, EnvelopeConnection)
    resource = {"type": "gce_instance", "labels": {"zone": "z"}}
    named = b'{"insertId":"1","logName":"projects//logs/theirs-requests"}'
    for envelope in (Envelope("theirs", {"a": "b"}, resource), Envelope("x/y", {}, None)):
        assert connection.send_with([_ENTRY, named], 5, envelope).kind is Kind.DELIVERED
    assert connection.send([_ENTRY], 5).kind is Kind.DELIVERED
    theirs, other, ours = (body for _, body in server.requests)
    assert theirs["logName"] == "projects/p/logs/theirs"
    assert (theirs["labels"], theirs["resource"]) == ({"a": "b"}, resource)
    assert theirs["entries"][1]["logName"] == "projects/p/logs/theirs-requests"
    assert other["logName"] == "projects/p/logs/x%2Fy"
    assert "labels" not in other
    assert other["resource"] == {"type": "global", "labels": {"project_id": "p"}}
    assert (ours["logName"], ours["labels"]) == ("projects/p/logs/ours", {"env": "prod"})
    connection.close()


def test_the_answer_is_handed_on(server: _Server) -> None:
    """Status, body and Retry-After of the answer are what the sender gets."""
    server.act = lambda handler: handler.reply(429, b'{"error": {}}', Retry_After="7")
    connection = _transport(server.url).open()
    answer = connection.ask([_ENTRY], 5)[0]
    assert (answer.status, answer.body, answer.retry_after) == (429, b'{"error": {}}', 7.0)
    connection.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("-3", 0.0),
        ("1e9", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2999 07:28:00 GMT", 3600.0),
        ("soon", None),
        ("nan", None),
        ("inf", 3600.0),
    ],
)
def test_an_odd_retry_after_is_bounded(server: _Server, header: str, seconds: float | None) -> None:
    """Whatever the header says, the delay is a number from 0 s to an hour, or none."""
    server.act = lambda handler: handler.reply(503, Retry_After=header)
    connection = _transport(server.url).open()
    assert connection.ask([_ENTRY], 5)[0].retry_after == seconds
    connection.close()


def test_a_redirect_is_not_followed(server: _Server) -> None:
    """Entries go where they were sent to, and nowhere else."""
    server.act = lambda handler: handler.reply(302, Location="/elsewhere")
    connection = _transport(server.url).open()
    assert connection.ask([_ENTRY], 5)[0].status == 302
    assert len(server.requests) == 1
    connection.close()


def test_one_connection_carries_many_requests(server: _Server) -> None:
    """The connection is kept alive between requests."""
    connection = _transport(server.url).open()
    for _ in range(5):
        connection.send([_ENTRY], 5)
    assert len(server.sockets) == 1
    connection.close()


def test_a_connection_that_the_server_closed_is_called_stale(server: _Server) -> None:
    """Broken after it had worked: stale. Broken at once the next time: not stale."""
    connection = _transport(server.url).open()
    connection.send([_ENTRY], 5)

    def cut(handler: _Handler) -> None:
        handler.request.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    server.act = cut
    with pytest.raises(WireError) as caught:
        connection.send([_ENTRY], 5)
    assert caught.value.is_stale_connection
    with pytest.raises(WireError) as caught:
        connection.send([_ENTRY], 5)
    assert not caught.value.is_stale_connection
    connection.close()


@pytest.mark.parametrize("when", ["before the answer", "in the answer"])
def test_a_hang_is_bounded_by_the_timeout(server: _Server, when: str) -> None:
    """A server that does not answer, or stops in the middle, costs the timeout and no more."""
    over = threading.Event()

    def hang(handler: _Handler) -> None:
        if when == "in the answer":
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
        over.wait(10)

    server.act = hang
    connection = _transport(server.url).open()
    start = time.monotonic()
    with pytest.raises(WireError):
        connection.send([_ENTRY], 0.3)
    assert 0.2 < time.monotonic() - start < 2
    over.set()
    connection.close()


def test_a_trickling_answer_is_bounded_too(server: _Server) -> None:
    """An answer of which a byte comes now and then does not hold the flush thread for ever."""
    over = threading.Event()

    def trickle(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10000")
        handler.end_headers()
        while not over.wait(0.1):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    server.act = trickle
    connection = _transport(server.url).open()
    start = time.monotonic()
    try:
        connection.send([_ENTRY], 0.3)
    except WireError:
        pass
    finally:
        over.set()
    assert time.monotonic() - start < 3
    connection.close()


def test_no_listener() -> None:
    """A refused connection is a passing failure that names no payload."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        connection = _transport(f"http://127.0.0.1:{unused.getsockname()[1]}").open()
        with pytest.raises(WireError, match="no connection to the server") as caught:
            connection.send([_ENTRY], 1)
    assert not caught.value.is_blocked
    assert not caught.value.is_stale_connection
    assert "hello" not in str(caught.value)
    connection.close()


def test_a_huge_answer_is_cut(server: _Server) -> None:
    """Of an answer's body no more than a megabyte is kept."""
    server.act = lambda handler: handler.reply(400, b"x" * 3_000_000)
    connection = _transport(server.url).open()
    assert len(connection.ask([_ENTRY], 5)[0].body) <= 1024 * 1024
    connection.close()


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator is reached directly although HTTP_PROXY points elsewhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    connection = _transport(server.url).open()
    assert connection.ask([_ENTRY], 5)[0].status == 200
    connection.close()


@pytest.fixture
def no_exceptions(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have no proxy, and no host that does without."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_plain_http_goes_by_the_environment_s_proxy(no_exceptions: pytest.MonkeyPatch) -> None:
    """An emulator on another machine is asked for by its whole URL, by way of the proxy."""
    heads: list[str] = []

    def proxy(connection: socket.socket) -> None:
        while True:
            heads.append(read_request(connection)[0])
            answer(connection, 200)

    with RawServer(proxy) as server:
        no_exceptions.setenv("http_proxy", f"http://user:word@127.0.0.1:{server.port}")
        connection = _transport("http://emulator.example:8085").open()
        for _ in range(2):
            assert connection.ask([_ENTRY], 5)[0].status == 200
        connection.close()
        assert server.accepted == 1
    for head in heads:
        assert head.startswith("POST http://emulator.example:8085/v2/entries:write HTTP/1.1\r\n")
        assert "Host: emulator.example:8085" in head
        assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in head
        assert "\r\nAuthorization" not in head


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4"])
def test_a_socks_proxy_is_refused_by_name(no_exceptions: pytest.MonkeyPatch, scheme: str) -> None:
    """The batch is blocked with what to set, the proxy's password left out; a token's, too."""
    monkeypatch = no_exceptions
    monkeypatch.setenv("https_proxy", f"{scheme}://user:secret@127.0.0.1:1080")
    credentials = google.oauth2.credentials.Credentials("token")
    options = Options(project="p", endpoint="https://logging.invalid", credentials=credentials)
    connection = HttpTransport(options, lambda _project: None).open()
    with pytest.raises(WireError, match="1080 is one of SOCKS") as caught:
        connection.send([b"{}"], 5)
    connection.close()
    assert caught.value.is_blocked
    assert "secret" not in str(caught.value)
    deadline = Deadline()
    deadline.start(5)
    with token_session(deadline) as session, pytest.raises(WireError, match="no_proxy"):
        session.get("https://token.invalid")


def test_https_goes_through_the_environment_s_proxy(
    no_exceptions: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proxy gets a CONNECT and no token; what is in the tunnel is for the server alone."""
    context, signer = make_certificate(tmp_path, "logging.example")
    seen: list[str] = []

    def tunnel(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        seen.append(head.decode())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inner:
            while True:
                seen.append(read_request(inner)[0])
                answer(inner, 200)

    with RawServer(tunnel) as server:
        no_exceptions.setenv("HTTPS_PROXY", f"http://user:word@127.0.0.1:{server.port}")
        no_exceptions.setenv("REQUESTS_CA_BUNDLE", str(signer))
        resource = {"type": "global", "labels": {}}
        options = {"credentials": _Token(), "resource": resource}
        connection = _transport("https://logging.example", **options).open()
        for _ in range(2):
            assert connection.ask([_ENTRY], 5)[0].status == 200
        connection.close()
        assert server.accepted == 1
    to_proxy, *inside = seen
    assert to_proxy.startswith("CONNECT logging.example:443 HTTP/1")
    assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in to_proxy
    assert "secret" not in to_proxy
    for head in inside:
        assert head.startswith("POST /v2/entries:write HTTP/1.1\r\n")
        assert "authorization: Bearer very-secret-" in head.replace(
            "Authorization", "authorization"
        )
        assert "Proxy-" not in head


# -- access ----------------------------------------------------------------------------------


class _Token(google.auth.credentials.Credentials):
    """Credentials that cost nothing, or whose refresh fails as the test says."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.project_id: str | None = None
        self.error = error
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        assert request is not None
        self.refreshed += 1
        if self.error is not None:
            raise self.error
        self.token = f"very-secret-{self.refreshed}"


def test_given_credentials_are_used_and_renewed(server: _Server) -> None:
    """The token is in the header; a 401 has it renewed before the sender hears of it.

    Class of fault: a request after a 401 is not counted; siblings:
    `test_a_refused_token_is_renewed_once`, `test_a_401_renews_the_token_once_and_then_blocks`.
    """
    statuses = iter([401, 200])
    server.act = lambda handler: handler.reply(next(statuses))
    credentials = _Token()
    connection = _transport(server.url, credentials=credentials).open()
    answer, repeats = connection.ask([_ENTRY], 5)
    assert (answer.status, repeats) == (200, 1), "the repeated request is counted"
    tokens = [headers["authorization"] for headers, _ in map(_lower, server.requests)]
    assert tokens == ["Bearer very-secret-1", "Bearer very-secret-2"]
    connection.close()


def test_an_anonymous_sender_is_not_asked_twice(server: _Server) -> None:
    """Without credentials a 401 is the answer: there is nothing to renew."""
    server.act = lambda handler: handler.reply(401)
    connection = _transport(server.url).open()
    assert connection.ask([_ENTRY], 5)[0].status == 401
    assert len(server.requests) == 1
    connection.close()


def _lower(request: tuple[dict[str, str], Any]) -> tuple[dict[str, str], Any]:
    return {name.lower(): value for name, value in request[0].items()}, request[1]


@pytest.mark.parametrize(
    ("error", "is_blocked"),
    [
        (google.auth.exceptions.RefreshError("secret: invalid_grant"), True),  # type: ignore[no-untyped-call]
        (google.auth.exceptions.RefreshError("secret: later", retryable=True), False),  # type: ignore[no-untyped-call]
        (google.auth.exceptions.TransportError("secret: no route"), False),  # type: ignore[no-untyped-call]
    ],
)
def test_a_failing_refresh_is_judged(
    server: _Server, error: Exception, *, is_blocked: bool
) -> None:
    """Revoked credentials block; a token server that is away passes; no line has a secret."""
    connection = _transport(server.url, credentials=_Token(error)).open()
    with pytest.raises(WireError) as caught:
        connection.send([_ENTRY], 5)
    assert caught.value.is_blocked is is_blocked
    assert "secret" not in str(caught.value)
    connection.close()


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_credentials_do_not_leave_over_plain_http(scheme: str) -> None:
    """A token for another machine over http is refused, with the remedy."""
    with pytest.raises(
        WireError, match=r"will not send credentials to example\.com.*https"
    ) as caught:
        find_access(Options(project="p", endpoint=f"{scheme}://example.com", credentials=_Token()))
    assert caught.value.is_blocked


def test_plain_http_gets_no_credentials_of_the_machine() -> None:
    """An http endpoint on another machine is an emulator: no credentials are looked for."""
    access = find_access(Options(project="p", endpoint="http://emulator:8085"))
    assert (access.credentials, access.project) == (None, "p")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have a machine with no credentials at all."""
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "GCLOUD_", "LOGGING_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_credentials")
def test_no_credentials_differ_from_wrong_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A laptop has none; a file that is named but missing or broken is a mistake to fix."""
    with pytest.raises(NoCredentialsError):
        find_access(Options(project="p"))
    wrong = tmp_path / "key.json"
    wrong.write_text("{secret")
    for path, fault in ((tmp_path / "missing", "missing"), (wrong, r"malformed \(\w+\)")):
        with pytest.raises(WireError, match=f"file is {fault}: option credentials=") as caught:
            find_access(Options(project="p", credentials=str(path)))
        assert caught.value.is_blocked
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(WireError, match=f"file is {fault}: variable GOOGLE_"):
            find_access(Options(project="p"))
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")


@pytest.mark.usefixtures("no_credentials")
def test_an_unknown_project_is_reported() -> None:
    """Credentials without a project block, and the option is named."""
    with pytest.raises(WireError, match="option project") as caught:
        find_access(Options(endpoint="https://example.com", credentials=_Token()))
    assert caught.value.is_blocked


@pytest.mark.usefixtures("no_credentials")
def test_a_laptop_gets_json_lines_on_stderr() -> None:
    """Without any credentials entries are lines on stderr, after one sentence with the remedy.

    They count as diverted. Closes: entries that no server has, counted as delivered.
    """
    done = check_python("""
        import forklog, logging
        handler = forklog.CloudLoggingHandler(project="p")
        logging.getLogger().addHandler(handler)
        logging.warning("one")
        logging.warning("two")
        assert not handler.flush(20), "no server has confirmed them"
        stats = handler.stats()
        assert (stats.delivered, dict(stats.diverted)) == (0, {"stderr": 2}), stats
        assert stats.accepted == 2 and not stats.dropped and not stats.pending, stats
    """)
    sentence, *lines = done.stderr.splitlines()
    assert "gcloud auth application-default login" in sentence
    assert [json.loads(line)["textPayload"] for line in lines] == ["one", "two"]


@pytest.mark.usefixtures("no_credentials")
def test_the_project_comes_from_option_environment_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this order; a local endpoint needs none of them."""
    credentials = _Token()
    credentials.project_id = "of-credentials"
    given: dict[str, Any] = {"endpoint": "https://example.com", "credentials": credentials}
    assert find_access(Options(**given)).project == "of-credentials"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-env")
    assert find_access(Options(**given)).project == "of-env"
    assert find_access(Options(project="of-option", **given)).project == "of-option"
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.setenv("GCLOUD_PROJECT", "of-old")
    assert find_access(Options(**given)).project == "of-old"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "")  # as google.auth counts it
    assert find_access(Options(**given)).project == "of-credentials"
    assert find_access(Options(endpoint="http://127.0.0.1:1")).project == "local-project"


@pytest.mark.parametrize("host", ["127.0.0.1:8085", "http://127.0.0.1:8085/"])
def test_the_environment_names_the_emulator(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """LOGGING_EMULATOR_HOST is a host or a URL; the option endpoint wins over it."""
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", host)
    assert find_access(Options(project="p")).endpoint == "http://127.0.0.1:8085"
    other = "http://127.0.0.1:9"
    assert find_access(Options(project="p", endpoint=other)).endpoint == other


def test_no_secret_in_any_line(emulator: Emulator) -> None:
    """With refused, failing and blocked requests stderr holds neither payload nor token."""
    emulator.fault("status", status=403, count=1)
    emulator.fault("refuse", index=0, count=1)
    done = check_python(f"""
        import forklog, logging, google.auth.credentials
        class Token(google.auth.credentials.Credentials):
            def refresh(self, request):
                self.token = "s3cret"
        handler = forklog.CloudLoggingHandler(
            endpoint={emulator.url!r}, project="p", credentials=Token(), max_retry_delay=0.1,
            shutdown_timeout=0.2, last_resort="none")
        logging.getLogger().addHandler(handler)
        for n in range(3):
            logging.warning("paylo%s", "ad")
            handler.flush(2)
    """)
    assert "forklog[" in done.stderr
    assert "s3cret" not in done.stderr
    assert "payload" not in done.stderr.lower()
