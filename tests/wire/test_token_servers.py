"""What google.auth asks hostile servers for us: bounded in time and bytes, and sent to no other.

Closes: waits without a deadline, answers without a bound, secrets that follow a redirect, pass a
proxy in the clear or are replaced by ~/.netrc. It does so for every kind of credentials that
google.auth has.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import re
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import google.auth.exceptions
import pytest
import requests
from helpers import check_python, state_numbers, wait_until
from wire import Metadata, RawServer, account_file, answer, make_certificate, make_key

from forklog.errors import NoCredentialsError
from forklog.options import Options
from forklog.transports.base import WireError
from forklog.transports.google import metadata as metadata_module
from forklog.transports.google.access import find_access
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forklog import CloudLoggingHandler

    Files = Callable[..., Options]
    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_ENTRY = b'{"insertId":"1","textPayload":"hello"}'
_TIMEOUT = 0.6
_AMPLE = 30.0  # where the server answers at once
_GENEROUS = 30.0  # for a loaded machine; unbounded, each of these would last minutes
_POOL = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/q"
_JWT, _AWS = "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:aws:token-type:aws4_request"
_SUBJECT = "very-secret-subject"
_BIG = 200 * 1024 * 1024


class _Server(RawServer):
    """A server for all that google.auth asks; keeps what it was sent and misbehaves as named."""

    def __init__(self, way: str = "ok", location: str = "") -> None:
        self.way, self.location = way, location
        self.asked: list[str] = []
        self.sent = 0
        self.packed = b""
        self.said = 200, b"{}"
        super().__init__(self._take)

    def _take(self, connection: socket.socket) -> None:
        data = b""
        while not (found := re.match(rb"(?s).*?\r\n\r\n", data)):
            if not (piece := connection.recv(65_536)):
                return
            data += piece
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", found[0])
        while length and len(data) < found.end() + int(length[1]):
            if not (piece := connection.recv(65_536)):
                return
            data += piece
        self.asked.append(data.decode("latin-1"))
        getattr(self, f"_{self.way}")(connection)

    def _ok(self, connection: socket.socket) -> None:
        answer(connection, 200, {"access_token": "t", "expires_in": 3600}, close=True)

    def _say(self, connection: socket.socket) -> None:
        status, body = self.said
        head = b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(body)) + body)

    def _redirect(self, connection: socket.socket) -> None:
        answer(connection, 307, None, f"Location: {self.location}", close=True)

    def _drip(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not self.over.wait(0.05):
            connection.sendall(b" ")

    def _big(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _BIG)
        while self.sent < _BIG:
            connection.sendall(b" " * 65_536)
            self.sent += 65_536

    def _bomb(self, connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(self.packed) + self.packed)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no credentials, no proxy and no project but the test's."""
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "GCLOUD_", "GCE_", "LOGGING_"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def pem() -> str:
    """Return the private key of a service account."""
    return make_key()[1]


def _external(folder: Path, url: str, source: dict[str, Any], **fields: Any) -> Path:
    """Write the file of another cloud's account; ``url`` exchanges its tokens."""
    path = folder / "external.json"
    kind = {"type": "external_account", "audience": _POOL, "subject_token_type": _JWT}
    known = {**kind, "token_url": f"{url}/v1/token", "credential_source": source, **fields}
    path.write_text(json.dumps(known))
    return path


def _file_source(folder: Path, url: str, _pem: str) -> Path:
    (folder / "subject").write_text(_SUBJECT)
    return _external(folder, url, {"file": str(folder / "subject")})


def _url_source(folder: Path, url: str, _pem: str) -> Path:
    source = {"url": f"{url}/identity", "headers": {"X-Secret": _SUBJECT}}
    return _external(folder, url, source)


def _aws_source(folder: Path, url: str, _pem: str) -> Path:
    source = {"environment_id": "aws1", "region_url": f"{url}/region", "url": f"{url}/role"}
    source |= {"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=G"}
    return _external(folder, url, source, subject_token_type=_AWS)


def _key(folder: Path, url: str, pem: str) -> Path:
    return account_file(folder / "key.json", f"{url}/token", pem)


def _impersonated(folder: Path, url: str, pem: str) -> Path:
    path = folder / "impersonated.json"
    source = json.loads(_key(folder, url, pem).read_text())
    host = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
    target = f"{host}/x@p.iam.gserviceaccount.com:generateAccessToken"
    known = {"type": "impersonated_service_account", "source_credentials": source}
    path.write_text(json.dumps({**known, "service_account_impersonation_url": target}))
    return path


_KINDS = [_file_source, _url_source, _aws_source, _key, _impersonated]
# With a project the token is asked for; without one, the project of another cloud's account is.
_PATHS = [*((kind, "p") for kind in _KINDS), *((kind, None) for kind in _KINDS[:3])]


def _name(thing: Any) -> str:
    return str(getattr(thing, "__name__", thing)).strip("_")


def in_each_way(test: Any) -> Any:
    """Run a test for each kind of file, with the project known or not, and each way to name it."""
    paths = pytest.mark.parametrize(("kind", "project"), _PATHS, ids=_name)
    return pytest.mark.parametrize("how", ["option", "variable"])(paths(test))


def _options(path: Path, how: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Options:
    """Name a file of credentials as the option, or in the environment."""
    given: dict[str, Any] = {"answer_timeout": _AMPLE, "connect_timeout": _AMPLE, **options}
    if how == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    else:
        given["credentials"] = str(path)
    return Options(**given)


@pytest.fixture
def options_of(tmp_path: Path, pem: str, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return a function that gives options with a file of a kind, which names a server."""

    def make(kind: Callable[..., Path], server: _Server, how: str, **options: Any) -> Options:
        return _options(kind(tmp_path, server.url, pem), how, monkeypatch, **options)

    return make


def _open(options: Options) -> Any:
    """Find access, as the flush thread does before its first request."""
    resource = {"type": "global", "labels": {}}
    given = {"endpoint": "https://127.0.0.1:9", "resource": resource}
    fields = {name: getattr(options, name) for name in ("project", "credentials")}
    times = {name: getattr(options, name) for name in ("answer_timeout", "connect_timeout")}
    if options.credentials is None:
        fields["credentials"] = find_access(options).credentials
    return HttpTransport(Options(**given, **fields, **times), lambda _project: None).open()


def _fetch(options: Options) -> None:
    """Find access and fetch a token."""
    wire = _open(options)
    try:
        wire.send([_ENTRY], options.answer_timeout)
    finally:
        wire.close()


@in_each_way
@pytest.mark.parametrize("way", ["drip", "big"])
def test_no_token_server_holds_the_thread_or_fills_the_memory(
    kind: Callable[..., Path],
    way: str,
    project: str | None,
    how: str,
    options_of: Files,
) -> None:
    """A byte now and then, or 200 MB: asking ends by answer_timeout, and at a megabyte."""
    with _Server(way) as server:
        # On a busy machine the server's thread may not have read anything by then.
        for timeout in (_TIMEOUT, 4 * _TIMEOUT, 16 * _TIMEOUT) if way == "drip" else (_AMPLE,):
            times = {"answer_timeout": timeout, "connect_timeout": timeout}
            options = options_of(kind, server, how, project=project, **times)
            began = time.monotonic()
            with pytest.raises(WireError) as caught:
                _fetch(options)
            took = time.monotonic() - began
            if server.asked:
                break
    assert took < (_GENEROUS if way == "drip" else _AMPLE)
    assert server.asked
    assert server.sent <= 16 * 1024 * 1024
    has_size = way == "big"
    assert ("longer than 1 MiB" in str(caught.value)) is has_size, caught.value


def test_a_packed_answer_is_unpacked_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gzip answer of 64 KiB that holds 64 MiB does not cost them; a small one is read."""
    with _Server("bomb") as server:
        server.packed = gzip.compress(bytes(64 * 1024 * 1024))
        path = _file_source(tmp_path, server.url, "")
        tracemalloc.start()
        with pytest.raises(WireError, match="longer than 1 MiB"):
            _fetch(_options(path, "option", monkeypatch, project="p"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        server.packed = gzip.compress(b'{"access_token": "t", "expires_in": 3600}')
        with pytest.raises(WireError, match="no connection to the server"):  # it has a token
            _fetch(_options(path, "option", monkeypatch, project="p"))
    assert "Accept-Encoding: identity" in server.asked[0]
    state_numbers(f"a bomb of 64 MiB: a peak of {peak / 2**20:.1f} MiB")
    assert peak < 16 * 1024 * 1024


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize("kind", _KINDS, ids=_name)
def test_a_known_project_is_not_asked_for(
    kind: Callable[..., Path],
    how: str,
    options_of: Files,
) -> None:
    """With the option project a file is read, and no server is asked before the first request."""
    with _Server("drip") as server:
        access = find_access(options_of(kind, server, how, project="given"))
    assert (access.project, server.asked) == ("given", [])
    assert access.credentials is not None


_BODIES = [
    b"[]",
    b"null",
    b'"secret"',
    b"{}",
    b"<html>secret</html>",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"access_token": null, "expires_in": 5}',
    b'{"access_token": {"secret": 1}, "expires_in": 5}',
    b'{"access_token": "secret", "expires_in": "soon"}',
    b'{"access_token": "secret", "expires_in": 1e400}',
    b'{"access_token": "secret", "expires_in": -1e308}',
    b'{"access_token": "secret", "expires_in": NaN}',
    b'{"access_token": "secret\\nX: y", "expires_in": 5}',
    b'{"error": {"secret": []}, "error_description": 5}',
]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("kind", "project"), [(_key, "p"), (_file_source, "p"), (_file_source, None)], ids=_name
)
def test_any_answer_of_a_token_server_is_one_line_about_the_credentials(
    kind: Callable[..., Path],
    project: str | None,
    status: int,
    options_of: Files,
) -> None:
    """Whatever it answers, the line is not about the log server, and quotes no answer."""
    with _Server("say") as server:
        options = options_of(kind, server, "option", project=project)
        wire = _open(options) if project else None
        for body in _BODIES:
            server.said = status, body
            with pytest.raises(WireError) as caught:
                (wire or _open(options)).send([_ENTRY], _AMPLE)
            text = str(caught.value)
            assert "credentials" in text or "project is not known" in text, (body[:50], text)
            assert "secret" not in text, (body[:50], text)
        if wire:
            wire.close()


class _Own:
    """Credentials of the application that raise what they like."""

    project_id = "p"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def before_request(self, *_: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("secret"), "the credentials raised KeyError: option credentials=<_Own>; correct"),
        (RecursionError("secret"), "the credentials raised RecursionError: option credentials="),
        (requests.ConnectionError("secret"), "the credentials' server did not answer"),
        (TimeoutError("secret"), "the credentials' server did not answer"),
        (
            google.auth.exceptions.OAuthError("secret"),
            "refreshed .OAuthError.: option credentials=<_Own>",
        ),
    ],
)
def test_credentials_of_the_application_may_raise_anything(error: Exception, said: str) -> None:
    """The line names the credentials and the type of the error, never its text."""
    given: dict[str, Any] = {"credentials": _Own(error), "resource": {"type": "global"}}
    wire = HttpTransport(Options(endpoint="https://127.0.0.1:9", **given), lambda _p: None).open()
    with pytest.raises(WireError, match=said) as caught:
        wire.send([_ENTRY], _TIMEOUT)
    wire.close()
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server with a certificate that only its own file makes trusted."""
    folder = tmp_path_factory.mktemp("tls")
    context, _ = make_certificate(folder, "127.0.0.1")
    with RawServer(lambda connection: connection.recv(1), context) as server:
        yield server.url


def test_a_token_server_s_certificate_blocks(
    certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that is not trusted is named as one, not as a server that does not answer."""
    path = _file_source(tmp_path, certificate, "")
    with pytest.raises(WireError, match="credentials' server's certificate is not tr") as caught:
        _fetch(_options(path, "option", monkeypatch, project="p"))
    assert caught.value.is_blocked


@pytest.mark.parametrize("content", [None, b"", b"garbage", bytes(range(256))], ids=repr)
@pytest.mark.parametrize("whose", ["log", "token"])
def test_a_bundle_of_certificates_that_cannot_be_used_is_named(
    whose: str,
    content: bytes | None,
    certificate: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing or broken file of REQUESTS_CA_BUNDLE is no fault of a network."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    credentials: object = None
    if whose == "token":
        credentials = str(_file_source(tmp_path, certificate, ""))
    given: dict[str, Any] = {"credentials": credentials, "resource": {"type": "global"}}
    options = Options(project="p", endpoint=certificate, **given)
    wire = HttpTransport(options, lambda _project: None).open()
    with pytest.raises(WireError, match="REQUESTS_CA_BUNDLE") as caught:
        wire.send([_ENTRY], 20)
    wire.close()
    assert caught.value.is_blocked


# -- where secrets go ----------------------------------------------------------------------------


@in_each_way
def test_no_redirect_gets_a_secret(
    kind: Callable[..., Path],
    project: str | None,
    how: str,
    options_of: Files,
) -> None:
    """Subject tokens, assertions and secret headers go to the server of the file alone."""
    with _Server() as other, _Server("redirect", f"{other.url}/v1/token") as server:
        options = options_of(kind, server, how, project=project)
        with pytest.raises(WireError, match="a redirect, which is not followed: http"):
            _fetch(options)
    assert len(server.asked) == 1
    assert other.asked == []


@in_each_way
def test_no_proxy_reads_a_secret(
    kind: Callable[..., Path],
    project: str | None,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    options_of: Files,
) -> None:
    """What is asked over plain http is asked directly, whatever proxy the environment names."""
    with _Server() as proxy, _Server("redirect") as server:
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        options = options_of(kind, server, how, project=project)
        with pytest.raises(WireError):
            _fetch(options)
    assert server.asked
    assert proxy.asked == []


@pytest.mark.parametrize("kind", _KINDS, ids=_name)
def test_no_password_of_netrc_is_sent(
    kind: Callable[..., Path], tmp_path: Path, options_of: Files
) -> None:
    """The passwords of ~/.netrc are for its hosts' users, and replace no token."""
    (tmp_path / ".netrc").write_text("default login user password of-netrc\n")
    with _Server("redirect") as server:
        options = options_of(kind, server, "option", project="p")
        with pytest.raises(WireError):
            _fetch(options)
    basic = base64.b64encode(b"user:of-netrc").decode()
    assert server.asked
    assert basic not in "".join(server.asked)


# -- the machine, with google.auth ---------------------------------------------------------------

_ON_MACHINE = """
    import os, time
    from forklog.options import Options
    from forklog.transports.base import WireError
    from forklog.transports.google.access import find_access
    began = time.monotonic()
    try:
        access = find_access(Options(answer_timeout=float(os.environ["TIMEOUT"])))
        print(type(access.credentials).__module__, access.project)
    except WireError as error:
        print(error)
    assert time.monotonic() - began < 30, time.monotonic() - began
"""


def _run_on_machine(metadata: Metadata, home: Path, timeout: float = _AMPLE) -> str:
    more = {"TIMEOUT": str(timeout), "GOOGLE_API_USE_CLIENT_CERTIFICATE": "false", "PATH": ""}
    found = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    files = {"HOME": str(home), "CLOUDSDK_CONFIG": str(home)}
    try:
        return check_python(_ON_MACHINE, env={**found, **files, **more, **metadata.environ}).stdout
    finally:
        metadata.server.close()


def test_google_auth_finds_the_machine_s_account(tmp_path: Path) -> None:
    """Where a variable asks for more than plain tokens, google.auth's credentials are used."""
    said = _run_on_machine(Metadata(), tmp_path)
    assert said == "google.auth.compute_engine.credentials meta-project\n"


@pytest.mark.parametrize("way", ["drip", "big"])
def test_google_auth_s_metadata_server_is_bounded(way: str, tmp_path: Path) -> None:
    """The same server that drips, or sends 200 MB, holds google.auth no longer than ours."""
    metadata = Metadata()
    tell, bad = metadata.tell, _Server(way)

    def misbehave(connection: socket.socket, head: str) -> None:
        if "project-id" in head:
            getattr(bad, f"_{way}")(connection)
        else:
            tell(connection, head)

    metadata.tell = misbehave
    said = _run_on_machine(metadata, tmp_path, _TIMEOUT if way == "drip" else _AMPLE)
    bad.close()
    assert "the credentials' server" in said
    assert bad.sent <= 16 * 1024 * 1024


def test_a_machine_that_is_none_of_googles_has_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a laptop with such a variable entries go to stderr, as on any other."""
    monkeypatch.setattr(metadata_module, "_sightings", [])
    monkeypatch.setattr(metadata_module, "_PRODUCT", str(tmp_path / "missing"))
    monkeypatch.setenv("GOOGLE_API_USE_CLIENT_CERTIFICATE", "false")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_DETECT_RETRIES", "1")
    with pytest.raises(NoCredentialsError):
        find_access(Options(project="p"))


# -- gcloud --------------------------------------------------------------------------------------


def _login(folder: Path, gcloud: str) -> None:
    """Be logged in, with a gcloud that runs these lines of a shell."""
    known = {"type": "authorized_user", "client_id": "c", "client_secret": "s"}
    path = folder / "application_default_credentials.json"
    path.write_text(json.dumps({**known, "refresh_token": "r", "quota_project_id": "q"}))
    (folder / "gcloud").write_text(f"#!/bin/sh\necho started >> {folder}/log\n{gcloud}\n")
    (folder / "gcloud").chmod(0o755)


@pytest.mark.parametrize(
    ("gcloud", "project"), [("echo my-project", "my-project"), ("exit 1", None), ("echo", None)]
)
def test_a_login_has_the_project_of_gcloud(
    gcloud: str, project: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no option names one; gcloud is not started where one does."""
    _login(tmp_path, gcloud)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_access(Options(project="given")).project == "given"
    assert not (tmp_path / "log").exists()
    if project:
        assert find_access(Options()).project == project
    else:
        with pytest.raises(WireError, match="the project is not known"):
            find_access(Options())
    assert (tmp_path / "log").read_text() == "started\n"


def test_a_gcloud_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A gcloud that waits for a person, or for a network, holds no thread and leaves no child."""
    _login(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    with pytest.raises(WireError, match="the project is not known"):
        find_access(Options(answer_timeout=_TIMEOUT))
    assert time.monotonic() - began < _GENEROUS
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not _is_alive(child))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize(
    "text", ["[]", "1", '{"type": []}', '{"type": "external_account"}', "\xff"]
)
def test_a_file_of_other_json_is_named(
    text: str, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever google.auth raises about a file is one line that says what to check."""
    path = tmp_path / "key.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(
        WireError, match=rf"malformed \(\w+\): (option|variable) .*{path}"
    ) as caught:
        find_access(_options(path, how, monkeypatch, project="p"))
    assert caught.value.is_blocked


def test_a_record_waits_for_a_token_server_that_drips(
    make_logger: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From end to end: the flush thread tries again, and one line tells."""
    with _Server("drip") as server:
        path = _file_source(tmp_path, server.url, "")
        times: dict[str, Any] = {"answer_timeout": 0.3, "connect_timeout": 0.3}
        times |= {"max_retry_delay": 0.1, "shutdown_timeout": 0.3}
        logger, handler = make_logger(
            endpoint="https://127.0.0.1:9", credentials=str(path), project=None, **times
        )
        logger.info("a")
        wait_until(lambda: handler.stats().requests >= 3, 20)
        wait_until(lambda: "credentials' server did not answer" in capsys.readouterr().err, 20)
        assert handler.stats().pending == 1
        handler.close()
