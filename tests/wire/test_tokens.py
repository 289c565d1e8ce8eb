"""Whom a token reaches, and on which path: Google's endpoint or the option's, and no other host."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import pytest
from google.cloud import logging as stock
from helpers import check_python
from wire import Metadata, RawServer, account_file, answer, make_certificate, make_key, read_request

from forklog import CloudLoggingHandler
from forklog.options import Options
from forklog.transports.base import WireError
from forklog.transports.google.access import find_access
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

_ENTRY = b'{"insertId":"1","textPayload":"hello"}'
_RESOURCE: dict[str, Any] = {"type": "global", "labels": {}}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class _Token(google.auth.credentials.Credentials):
    """Credentials that cost nothing and have a token that a test can look for."""

    def __init__(self, project: str | None = "p") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.project_id = project

    def refresh(self, request: Any) -> None:
        assert request is not None
        self.token = "very-secret"  # noqa: S105 - what the tests look for


class _Recorder(RawServer):
    """A server, or a proxy, that answers every request with 200 and keeps what it was sent."""

    def __init__(
        self,
        status: int = 200,
        *headers: str,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.heads: list[str] = []
        self._status, self._headers = status, headers
        super().__init__(self._record, context, host)

    def _record(self, connection: socket.socket) -> None:
        while True:
            head, _ = read_request(connection)
            self.heads.append(head)
            answer(connection, self._status, None, *self._headers)

    def has_token(self) -> bool:
        return any("very-secret" in head for head in self.heads)


@pytest.fixture
def target() -> Iterator[_Recorder]:
    """Run the server that the endpoint names."""
    with _Recorder() as server:
        yield server


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Recorder]:
    """Run a proxy that the environment names for every URL, without any exception."""
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("LOGGING_EMULATOR_HOST", raising=False)
    with _Recorder() as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        yield server


def _send(endpoint: str | None, **options: Any) -> int:
    given = {"project": "p", "endpoint": endpoint, "resource": _RESOURCE, **options}
    connection = HttpTransport(Options(**given), lambda _project: None).open()
    try:
        return connection.ask([_ENTRY], 10)[0].status
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "127.1.2.3"])
@pytest.mark.parametrize("credentials", [_Token(), None], ids=["token", "none"])
def test_loopback_never_goes_by_a_proxy(
    proxy: _Recorder, host: str, credentials: _Token | None
) -> None:
    """Entries and token for this machine do not pass a proxy, which would read both.

    Class of fault: a proxy or another host reads a token that was sent over plain http; siblings:
    `test_a_client_of_googles_shares_no_token_with_a_proxy`,
    `test_an_emulator_variable_gets_no_token`, `test_a_redirect_carries_no_token`,
    `test_a_token_over_plain_http_is_fetched_past_every_proxy`, `test_no_proxy_reads_a_secret`.
    """
    with _Recorder(host="127.1.2.3" if host == "127.1.2.3" else "127.0.0.1") as target:
        assert _send(f"http://{host}:{target.port}", credentials=credentials) == 200
    assert len(target.heads) == 1
    assert target.has_token() is (credentials is not None)
    assert proxy.heads == []


def test_a_client_of_googles_shares_no_token_with_a_proxy(
    target: _Recorder, proxy: _Recorder
) -> None:
    """The credentials of ``client=`` go to the client's endpoint on this machine, past a proxy.

    Class of fault: a proxy or another host reads a token that was sent over plain http; siblings:
    `test_loopback_never_goes_by_a_proxy`, `test_a_name_that_looks_like_this_machine_is_not_it`,
    `test_no_proxy_reads_a_token`.
    """
    client = stock.Client(
        project="p",
        credentials=_Token(),
        _use_grpc=False,
        client_options={"api_endpoint": target.url},
    )
    handler = CloudLoggingHandler(client, resource=_RESOURCE)
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert handler.flush(10)
    handler.close()
    assert target.has_token()
    assert proxy.heads == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1.example:1",
        "http://localhost.example",
        "http://10.0.0.1",
        "http://[fe80::1]",
    ],
)
def test_a_name_that_looks_like_this_machine_is_not_it(proxy: _Recorder, endpoint: str) -> None:
    """A token for another host never leaves over plain http, by a proxy or without."""
    with pytest.raises(WireError, match="will not send credentials") as caught:
        _send(endpoint, credentials=_Token())
    assert caught.value.is_blocked
    assert proxy.heads == []


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_an_emulator_variable_gets_no_token(
    target: _Recorder, proxy: _Recorder, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """LOGGING_EMULATOR_HOST names where entries go; given credentials are not sent there."""
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", f"{scheme}127.0.0.1:{target.port}")
    assert _send(None, credentials=_Token()) == 200
    assert len(target.heads) == 1
    assert not target.has_token()
    assert proxy.heads == []


@pytest.mark.parametrize("host", ["https://emulator.example", "http://emulator.example:8085"])
@pytest.mark.parametrize("credentials", [_Token("of-credentials"), None, "/missing/key.json"])
def test_a_remote_emulator_gets_no_token_either(
    monkeypatch: pytest.MonkeyPatch, host: str, credentials: object
) -> None:
    """No scheme and no credentials, given or of the machine, make the variable worth a token."""
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", host)
    access = find_access(Options(credentials=credentials))
    is_object = isinstance(credentials, _Token)
    assert (access.endpoint, access.credentials) == (host, None)
    assert access.project == ("of-credentials" if is_object else "local-project")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_no_token(target: _Recorder, status: int) -> None:
    """A server that answers with another address does not get the token sent there."""
    with _Recorder(status, f"Location: {target.url}/v2/entries:write") as redirecting:
        assert _send(redirecting.url, credentials=_Token()) == status
        assert redirecting.has_token()
    assert target.heads == []


def test_a_token_server_s_redirect_is_not_followed(target: _Recorder, tmp_path: Path) -> None:
    """What a token is asked for with is as good as a token: no other host gets it."""
    _, pem = make_key()
    with _Recorder(307, f"Location: {target.url}/token") as tokens:
        file = account_file(tmp_path / "key.json", f"{tokens.url}/token", pem)
        with pytest.raises(WireError):
            _send(target.url, credentials=str(file))
        assert len(tokens.heads) == 1
    assert target.heads == []


def test_a_token_over_plain_http_is_fetched_past_every_proxy(
    target: _Recorder, proxy: _Recorder
) -> None:
    """The credentials of google.auth for a machine ask the metadata server without the proxy."""
    metadata = Metadata()
    try:
        check_python(
            f"""
            import google.auth.compute_engine
            from forklog.options import Options
            from forklog.transports.http import HttpTransport
            options = Options(
                project="p", endpoint={target.url!r}, resource={{"type": "global"}},
                credentials=google.auth.compute_engine.Credentials())
            connection = HttpTransport(options, lambda project: None).open()
            assert connection.ask([b"{{}}"], 10)[0].status == 200
            connection.close()
            """,
            env=metadata.environ,
        )
    finally:
        metadata.server.close()
    assert metadata.tokens == 1
    assert proxy.heads == []


@pytest.mark.parametrize("end", ["\nX-Other: 1", "\r\n", "\u2603", "\x00"])
def test_a_token_that_no_header_can_hold_is_not_shown(target: _Recorder, end: str) -> None:
    """A token with a newline adds no header, and no error quotes it, as http.client's does."""

    class _Broken(_Token):
        def refresh(self, request: Any) -> None:
            super().refresh(request)
            self.token = f"very-secret{end}"

    with pytest.raises(WireError, match="a header that cannot be sent") as caught:
        _send(target.url, credentials=_Broken())
    assert caught.value.is_blocked
    assert "very-secret" not in repr(caught.value) + repr(caught.value.__cause__)
    assert target.heads == []


@pytest.mark.parametrize("credentials", [_Token(), None], ids=["token", "none"])
def test_the_environment_s_certificates_hold_on_this_machine_too(
    proxy: _Recorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    credentials: _Token | None,
) -> None:
    """REQUESTS_CA_BUNDLE is read for https on loopback, with credentials and without.

    Class of fault: a setting of the environment is ignored on loopback; siblings:
    `test_a_bundle_of_certificates_that_cannot_be_used_is_named`.
    """
    context, signer = make_certificate(tmp_path, "127.0.0.1")
    with _Recorder(context=context) as target:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(signer))
        assert _send(target.url, credentials=credentials) == 200
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(WireError, match="certificate is not trusted"):
            _send(target.url, credentials=credentials)
    assert proxy.heads == []
