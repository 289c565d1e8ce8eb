"""The service account of this machine: forklog's own tokens, from a metadata server on a socket."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from helpers import check_python, wait_until
from wire import Metadata, RawServer, answer, make_certificate, read_request

from forklog.options import Options
from forklog.transports.base import WireError
from forklog.transports.deadline import Deadline
from forklog.transports.google import metadata as metadata_module
from forklog.transports.google.access import Access
from forklog.transports.google.machine import MachineAccount, is_plain_machine
from forklog.transports.google.metadata import is_on_google
from forklog.transports.google.signing import signer_of
from forklog.transports.http import HttpTransport
from forklog.transports.tokens import token_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENTRY = b'{"insertId":"1","textPayload":"hello"}'
_FLAVOR = "Metadata-Flavor: Google"
_GENEROUS = 20.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    """Be on a machine with a metadata server."""
    running = Metadata()
    monkeypatch.setattr(metadata_module, "_sightings", [])
    for name in ("NO_GCE_CHECK", "GOOGLE_CLOUD_QUOTA_PROJECT", "GCE_METADATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    yield running
    running.server.close()


class _Log:
    """An endpoint that takes entries; `valid`, if set, is the only token that it knows."""

    def __init__(self) -> None:
        self.valid = ""
        self.heads: list[str] = []
        self.server = RawServer(self._serve)

    def _serve(self, connection: socket.socket) -> None:
        while True:
            head, _ = read_request(connection)
            self.heads.append(head)
            is_known = not self.valid or head.endswith(f"Bearer {self.valid}")
            answer(connection, 200 if is_known else 401)


@pytest.fixture
def log() -> Iterator[_Log]:
    """Run an endpoint."""
    running = _Log()
    yield running
    running.server.close()


def _open(log: _Log) -> Any:
    options = Options(
        project="p",
        endpoint=log.server.url,
        credentials=MachineAccount(),
        resource={"type": "global", "labels": {}},
    )
    return HttpTransport(options, lambda _project: None).open()


def test_a_token_serves_until_it_ends(machine: Metadata, log: _Log) -> None:
    """It is asked for once, as the server wants to be asked, and again shortly before its end."""
    connection = _open(log)
    for _ in range(3):
        assert connection.ask([_ENTRY], 5)[0].status == 200
    assert machine.tokens == 1
    machine.life = 200  # less than the 225 s before the end at which the next one is asked for
    connection.close()
    connection = _open(log)
    for _ in range(3):
        assert connection.ask([_ENTRY], 5)[0].status == 200
    connection.close()
    assert machine.tokens == 4
    sent = [line for head in log.heads for line in head.split("\r\n") if "Authorization" in line]
    assert sent == [f"Authorization: Bearer meta-{n}" for n in (1, 1, 1, 2, 3, 4)]
    asked = next(head for head in machine.heads if "/token" in head)
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    scope = "https://www.googleapis.com/auth/logging.write"
    assert asked.startswith(f"GET {path}?scopes={scope} HTTP/1.1\r\n")
    assert f"{_FLAVOR}\r\n" in asked


def test_a_refused_token_is_renewed_once(machine: Metadata, log: _Log) -> None:
    """A 401 brings a new token and one more request; a second 401 is the answer."""
    connection = _open(log)
    connection.send([_ENTRY], 5)
    log.valid = "meta-2"
    reply = connection.ask([_ENTRY], 5)[0]
    assert (reply.status, machine.tokens, len(log.heads)) == (200, 2, 3)
    assert reply.place.account == "m@p.example"
    log.valid = "none of them"
    assert connection.ask([_ENTRY], 5)[0].status == 401
    assert (machine.tokens, len(log.heads)) == (3, 5)
    connection.close()


def test_an_account_s_name_is_one_printable_line(
    machine: Metadata, log: _Log, make_logger: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """An e-mail address of the metadata server may hold what controls a terminal, or a line's end.

    Class of fault: control characters of a foreign text reach a terminal; siblings:
    `test_the_machine_s_words_are_printable`, `test_the_servers_words_are_one_printable_line`.
    """
    own, mail = machine.tell, b"m@p.example\x1b]0;title\x07\x1b[31m\nforklog[1]: a line of its own"

    def tell(connection: socket.socket, head: str) -> None:
        if "/email" not in head:
            own(connection, head)
            return
        start = f"HTTP/1.1 200 OK\r\n{_FLAVOR}\r\nContent-Length: {len(mail)}\r\n\r\n"
        connection.sendall(start.encode() + mail)

    machine.tell, log.valid = tell, "none of them"
    options = {"resource": {"type": "global", "labels": {}}, "shutdown_timeout": 0.2}
    logger, handler = make_logger(
        endpoint=log.server.url, credentials=MachineAccount(), max_retry_delay=0.1, **options
    )
    logger.info("a")
    printed: list[str] = []

    def is_printed() -> bool:
        printed.append(capsys.readouterr().err)
        return "m@p.example" in "".join(printed)

    wait_until(is_printed, _GENEROUS)
    log.valid = ""
    assert handler.flush(_GENEROUS)
    lines = ("".join(printed) + capsys.readouterr().err).splitlines()
    assert all(line.isprintable() for line in lines), lines
    assert not [line for line in lines if line.startswith("forklog[1]:")], lines


def _say(status: int, body: object, *headers: str) -> Callable[[socket.socket, str], None]:
    return lambda connection, _head: answer(connection, status, body, *headers)


@pytest.mark.parametrize(
    ("tell", "said", "is_blocked"),
    [
        (_say(404, None, _FLAVOR), "no service account of this machine; attach one", True),
        (_say(403, None, _FLAVOR), r"gave no token \(403\)", True),
        (_say(302, None, _FLAVOR, "Location: http://127.0.0.1:9/"), "302, a redirect", True),
        (_say(200, {"access_token": "t", "expires_in": 9}), r"gave no token \(200\)", True),
        (_say(503, None, _FLAVOR), "the credentials' server answered 503", False),
        (_say(429, None, _FLAVOR), "the credentials' server answered 429", False),
        (_say(200, {"secret": 1}, _FLAVOR), "token cannot be read", False),
        (_say(200, ["secret"], _FLAVOR), "token cannot be read", False),
        (_say(200, {"access_token": "secret", "expires_in": "soon"}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": "secret\nX: y", "expires_in": 9}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": "secret\u2603", "expires_in": 9}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": {"secret": 1}, "expires_in": 9}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": "secret", "expires_in": "nan"}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": "secret", "expires_in": "inf"}, _FLAVOR), "be read", False),
        (_say(200, {"access_token": "secret", "expires_in": -1e308}, _FLAVOR), "be read", False),
        (_say(200, "secret" * 50_000, _FLAVOR), "token cannot be read", False),
        (lambda connection, _head: connection.close(), "did not answer", False),
        (lambda connection, _head: connection.sendall(b"secret\r\n"), "did not answer", False),
    ],
)
def test_a_token_that_cannot_be_had_is_judged(
    machine: Metadata, log: _Log, tell: Any, said: str, *, is_blocked: bool
) -> None:
    """What passes is tried again, what a person has to fix blocks; no line has a secret."""
    machine.tell = tell
    connection = _open(log)
    with pytest.raises(WireError, match=said) as caught:
        connection.send([_ENTRY], 5)
    assert caught.value.is_blocked is is_blocked
    assert "secret" not in str(caught.value)
    assert log.heads == []
    connection.close()


@pytest.mark.parametrize("way", ["never answers", "drips"])
def test_a_token_shares_the_request_s_deadline(machine: Metadata, log: _Log, way: str) -> None:
    """A metadata server that hangs, or sends a byte now and then, costs the timeout and no more."""

    def drip(connection: socket.socket, _head: str) -> None:
        if way == "drips":
            connection.sendall(f"HTTP/1.1 200 OK\r\n{_FLAVOR}\r\nContent-Length: 9000\r\n".encode())
            connection.sendall(b"\r\n")
        while not machine.server.over.wait(0.05):
            if way == "drips":
                connection.sendall(b" ")

    machine.tell = drip
    connection = _open(log)
    start = time.monotonic()
    with pytest.raises(WireError, match="did not answer"):
        connection.send([_ENTRY], 0.5)
    assert time.monotonic() - start < _GENEROUS
    connection.close()


def test_no_proxy_reads_a_token(
    machine: Metadata, log: _Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata server is asked directly, whatever proxy the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "somewhere-else")
    assert is_on_google()
    assert _headers() == {"Authorization": "Bearer meta-1"}
    assert machine.tokens == 1
    assert log.heads == []


def _headers() -> dict[str, str]:
    with requests.Session() as session:
        access = Access("https://logging.example", MachineAccount(), "p")
        return signer_of(access, "https://logging.example/", session, 5).headers()


def test_who_pays_is_sent(machine: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOGLE_CLOUD_QUOTA_PROJECT goes to the server, as google.auth sends it."""
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
    assert _headers()["X-Goog-User-Project"] == "payer"
    assert machine.tokens == 1


# -- which machine it is -------------------------------------------------------------------------


@pytest.fixture
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "GCE_"))]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_plain")
def test_a_file_or_a_certificate_is_left_to_google_auth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only where nothing else is named does forklog ask for the tokens itself."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    login = tmp_path / "application_default_credentials.json"
    assert is_plain_machine()
    login.write_text("{}")
    assert not is_plain_machine()
    login.unlink()
    for name in (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_API_CERTIFICATE_CONFIG",
        "GCE_METADATA_MTLS_MODE",
    ):
        monkeypatch.setenv(name, "x")
        assert not is_plain_machine()
        monkeypatch.delenv(name)
    monkeypatch.setattr("forklog.transports.google.machine._AGENT_CERTIFICATES", tmp_path)
    assert not is_plain_machine()


def test_google_s_machines_are_known(
    machine: Metadata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the metadata server, which may come up late, or by the board's name; or not at all."""
    monkeypatch.setattr(metadata_module, "_PAUSE", 0.01)
    monkeypatch.setattr(metadata_module, "_PRODUCT", str(tmp_path / "product_name"))
    machine.way, machine.bad = "fails", 2
    tell, machine.tell = machine.tell, _say(200, None)  # a web server that is none of Google's
    assert not is_on_google()
    machine.tell, machine.asked = tell, 0
    assert is_on_google()
    assert machine.asked == 3
    machine.server.close()
    assert is_on_google()  # it was one
    monkeypatch.setattr(metadata_module, "_sightings", [])
    assert not is_on_google()
    (tmp_path / "product_name").write_text("Google Compute Engine\n")
    assert is_on_google()
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert not is_on_google()


@pytest.mark.parametrize(("number", "tries"), [("1", 1), ("none", 3)])
def test_the_number_of_tries_is_the_environment_s(
    machine: Metadata,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: str,
    tries: int,
) -> None:
    """GCE_METADATA_DETECT_RETRIES counts as with google.auth; nonsense is its default."""
    monkeypatch.setattr(metadata_module, "_PAUSE", 0.01)
    monkeypatch.setattr(metadata_module, "_PRODUCT", str(tmp_path / "missing"))
    monkeypatch.setenv("GCE_METADATA_DETECT_RETRIES", number)
    machine.tell = _say(500, None)
    assert not is_on_google()
    assert machine.asked == tries


# -- from end to end -----------------------------------------------------------------------------

_APP = """
    import logging, os, socket, sys
    real = socket.getaddrinfo
    def find(host, *args, **options):
        return real("127.0.0.1" if host == "logging.example" else host, *args, **options)
    socket.getaddrinfo = find
    sys.modules["cryptography"] = None  # as in the second interpreter of a uWSGI server
    import forklog
    handler = forklog.CloudLoggingHandler(endpoint=os.environ["ENDPOINT"], max_retry_delay=0.2)
    logging.getLogger().addHandler(handler)
    logging.warning("from the machine")
    assert handler.flush(20), handler.stats()
    assert handler.stats().delivered == 1, handler.stats()
    wires = "google.auth.transport.requests", "google.auth.transport.urllib3"
    loaded = [name for name in wires if name in sys.modules]
    assert not loaded, loaded
"""


@pytest.mark.usefixtures("_plain")
def test_the_default_path_needs_no_google_auth(tmp_path: Path) -> None:
    """No option but the endpoint: project, resource, account and token come from the machine."""
    context, signer = make_certificate(tmp_path, "logging.example")
    (tmp_path / ".netrc").write_text("machine logging.example login user password secret\n")
    received: list[tuple[str, Any]] = []

    def serve(connection: socket.socket) -> None:
        while True:
            head, body = read_request(connection)
            received.append((head, json.loads(body)))
            answer(connection, 200)

    machine = Metadata()
    environ = {
        **machine.environ,
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
        "REQUESTS_CA_BUNDLE": str(signer),
        "NO_PROXY": "*",
    }
    try:
        with RawServer(serve, context) as server:
            endpoint = f"https://logging.example:{server.port}"
            check_python(_APP, env={**environ, "ENDPOINT": endpoint})
    finally:
        machine.server.close()
    ((head, body),) = received
    assert head.endswith("Authorization: Bearer meta-1")
    assert body["logName"] == "projects/meta-project/logs/python"
    assert body["resource"]["type"] == "gce_instance"
    assert body["resource"]["labels"]["instance_id"] == "42"


@pytest.mark.usefixtures("_plain")
@pytest.mark.parametrize("late", ["on Google?", "project-id", "instance/id"])
def test_a_caller_that_has_to_go_on_does_not_wait_for_the_metadata_server(
    machine: Metadata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, late: str
) -> None:
    """An exit or a flush in its own thread opens a connection within what is left of its time.

    A server that is silent so long is not given up, nor is the machine taken for a laptop.

    Closes: an opening whose bounds are those of the flush thread, 11 s and 3 s a question.
    """
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(metadata_module, "_TIMEOUT", 300.0)
    monkeypatch.setattr(metadata_module, "_silences", [])
    monkeypatch.setenv("GCE_METADATA_TIMEOUT", "300")
    tell = machine.tell

    def hang(connection: socket.socket, head: str) -> None:
        is_first = head.split()[1] == "/"
        if late in head or (is_first and late == "on Google?"):
            machine.server.over.wait(120)
        else:
            tell(connection, head)

    machine.tell = hang
    transport = HttpTransport(Options(), lambda _project: None)
    began = time.monotonic()
    with pytest.raises(WireError, match="no time was left"):
        transport.open_within(0.5)
    assert time.monotonic() - began < 60
    assert machine.asked
    assert metadata_module._silences == []
    with pytest.raises(WireError, match="no time was left"):
        transport.open_within(0.0)
    machine.tell = tell
    connection = transport.open_within(60.0)
    assert type(connection).__name__ == "HttpConnection"
    connection.close()


def test_no_name_is_looked_up_once_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends a look-up once it has begun, so none begins late."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    deadline = Deadline()
    deadline.start(0.0)
    with token_session(deadline) as session, pytest.raises(WireError, match="did not answer"):
        session.get("http://name.example/")


def test_callers_with_little_time_learn_together_that_there_is_no_server(
    machine: Metadata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where each caller goes on early, what they waited adds up, and the tries do: it ends.

    Closes the class: a question that begins anew each time that a caller has no time for it.
    """
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GCE_METADATA_TIMEOUT", "1")
    monkeypatch.setattr(metadata_module, "_PAUSE", 0.3)
    monkeypatch.setattr(metadata_module, "_has_googles_board", lambda: False)
    for state in ("_sightings", "_silences", "_broken_off"):
        monkeypatch.setattr(metadata_module, state, [])
    monkeypatch.setattr(metadata_module, "_cut_short", {})
    machine.tell = lambda *_: machine.server.over.wait(120)
    transport, errors = HttpTransport(Options(), lambda _project: None), list[str]()
    connection = None
    while connection is None:
        assert len(errors) < 40, "it begins anew each time"
        try:
            connection = transport.open_within(0.4)
        except WireError as error:
            errors.append(str(error))
    assert type(connection).__name__ == "StderrConnection"
    assert len(errors) >= 3
    assert all("no time was left" in error for error in errors)
    assert not metadata_module._broken_off
