"""Who may call: web pages, rebound names and other protocols, over real sockets."""

from __future__ import annotations

import selectors
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import grpc
import pytest
from cases import further
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import (
    LoggingServiceV2GrpcTransport,
)

from forklog.emulator.server.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]

COMMAND = [sys.executable, "-m", "forklog.emulator", "--port", "0", "--quiet"]
BODY = {"entries": [{"textPayload": "a", "logName": "projects/p/logs/l"}]}
CALLS = [
    ("GET", "/"),
    ("GET", "/page/main.js"),
    ("GET", "/emulator/help"),
    ("GET", "/emulator/live"),
    ("GET", "/emulator/entries"),
    ("GET", "/emulator/entries/1"),
    ("POST", "/emulator/filter"),
    ("GET", "/emulator/stats"),
    ("POST", "/emulator/entries:list"),
    ("POST", "/emulator/faults"),
    ("DELETE", "/emulator/entries"),
    ("DELETE", "/emulator/faults"),
    ("POST", "/v2/entries:write"),
    ("POST", "/v2/entries:list"),
    ("POST", "/v2/entries:tail"),
    ("GET", "/v2/projects/p/logs"),
    ("DELETE", "/v2/projects/p/logs/l"),
    ("OPTIONS", "/v2/entries:write"),
    ("POST", "/nowhere"),
]


@contextmanager
def started(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the command and give the port that it listens on."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2]), process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str], seconds: float = 30) -> str:
    """Return the next line on its stderr; "" if there is none in time."""
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        return process.stderr.readline() if selector.select(seconds) else ""


def exchange(port: int, *lines: str) -> str:
    """Send a request head, and return the first line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return connection.makefile().readline().strip()


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Host": "rebound.example"},
        {"Host": "rebound.example:8085", "Origin": "http://rebound.example:8085"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil.example@127.0.0.1"},
        {"Host": "192.168.1.7:8085"},
        {"Host": "[2001:db8::1]:8085"},
        {"Host": ""},
    ],
    ids=str,
)
def test_pages_and_rebound_names_are_refused(
    call: Send, emulator: Emulator, method: str, path: str, headers: dict[str, str]
) -> None:
    """A foreign Origin or Host is 403 on every call, and nothing is stored, armed or counted.

    Class of fault: a web page on the developer's machine drives the emulator; siblings:
    `test_a_post_must_be_json`, `test_two_hosts_are_refused`, `test_other_sites_are_refused`,
    `test_no_other_site_can_embed_what_is_served`.
    """
    status, answer = call(method, path, {"kind": "hang", **BODY}, headers)
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert emulator.faults() == []
    assert emulator.stats()["requests"] == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
@pytest.mark.parametrize(
    "path", ["/emulator/faults", "/emulator/entries:list", "/v2/entries:write", "/v2/entries:list"]
)
def test_a_post_must_be_json(emulator: Emulator, path: str, kind: str | None) -> None:
    """A content type that a page may send without permission is 400, and so is none.

    Class of fault: a web page on the developer's machine drives the emulator; siblings:
    `test_pages_and_rebound_names_are_refused`, `test_two_hosts_are_refused`,
    `test_other_sites_are_refused`.
    """
    given = [] if kind is None else [f"Content-Type: {kind}"]
    port = int(emulator.host.rpartition(":")[2])
    found = exchange(port, f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", *given)
    assert found == "HTTP/1.1 400 Bad Request"
    assert emulator.stats()["requests"] == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9", "[::1]:80"])
def test_loopback_is_ours(call: Send, host: str) -> None:
    """Every name of loopback is answered, with any port, and with the same Origin."""
    assert call("GET", "/emulator/stats", None, {"Host": host})[0] == 200
    own = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json; charset=x"}
    assert call("POST", "/emulator/entries:list", {}, own)[0] == 200


def test_two_hosts_are_refused(emulator: Emulator) -> None:
    """A request with two Host headers, or none, is not taken for one of ours."""
    port = int(emulator.host.rpartition(":")[2])
    for hosts in (["Host: localhost", "Host: evil.example"], []):
        found = exchange(port, "GET /emulator/stats HTTP/1.1", *hosts)
        assert found.split()[1] in ("400", "403")


def test_a_named_host_is_answered() -> None:
    """With --allow-host its names are answered, others not; a pages' Origin stays refused."""
    with started("--allow-host", "logging", "--allow-host", "10.0.0.9") as (port, _):
        for host, status in (("logging:8085", 200), ("LOGGING", 200), ("10.0.0.9:1", 200),
                             ("other:8085", 403), ("logging.evil.example", 403)):  # fmt: skip
            found = exchange(port, "GET /emulator/stats HTTP/1.1", f"Host: {host}")
            assert int(found.split()[1]) == status, host
        page = ["Host: logging", "Origin: http://evil.example"]
        assert " 403 " in exchange(port, "GET /emulator/stats HTTP/1.1", *page)


def test_the_bound_address_is_a_name_too() -> None:
    """Whoever binds an address with --host may call it by that address."""
    with started("--host", "0.0.0.0") as (port, _):  # noqa: S104  that is what is tested
        assert " 200 " in exchange(port, "GET / HTTP/1.1", f"Host: 0.0.0.0:{port}")
        assert " 403 " in exchange(port, "GET / HTTP/1.1", "Host: 10.1.2.3")


def test_nothing_else_listens(emulator: Emulator) -> None:
    """By default only 127.0.0.1 is bound, not even the rest of loopback.

    Class of fault: the emulator listens on an address that the user did not ask for; siblings:
    `test_arguments_are_refused_by_their_rule`.
    """
    port = int(emulator.host.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--host", ""], "argument --host: '' would bind every address"),
        (["--allow-host", "*"], "argument --allow-host: '*' is not"),
        *further(
            (["--db", ""], "argument --db: '' is not the path of a file"),
            (["--port", "99999"], "argument --port: '99999' is not a port from 0 to 65535"),
            (
                ["--retention-days", "nan"],
                "argument --retention-days: 'nan' is not a number of days",
            ),
            (["--host", " "], "argument --host: ' ' would bind every address"),
            (["--allow-host", "a:80"], "argument --allow-host: 'a:80' is not the name or address"),
            (["--allow-host", "http://a"], "argument --allow-host: 'http://a' is not"),
            (["--db", "/"], "argument --db: '/' is not the path of a file"),
            (["--port", "x"], "argument --port: 'x' is not a port from 0 to 65535"),
            (["--retention-days", "x"], "argument --retention-days: 'x' is not a number of days"),
        ),
    ],
)
def test_arguments_are_refused_by_their_rule(arguments: list[str], text: str) -> None:
    """A wrong argument ends it with status 2 and the rule; no function of ours is named.

    Class of fault: an empty or wrong argument is taken for another one, such as every address;
    siblings: `test_nothing_else_listens`, and the other arguments here.
    """
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "invalid _" not in done.stderr


def test_tls_is_one_clear_line() -> None:
    """TLS clients make it print one line that says what to set; HTTP is answered as before."""
    with started() as (port, process):
        for _ in range(3):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
                pytest.raises((ssl.SSLError, ConnectionError)),
            ):
                ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        line = line_of(process)
        assert line.startswith("forklog emulator: a client speaks TLS")
        wanted = f'client_options={{"api_endpoint": "http://127.0.0.1:{port}"}}'
        assert f"_use_grpc=False and {wanted}" in line
        assert " 200 " in exchange(port, "GET / HTTP/1.1", "Host: localhost")
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")


@pytest.mark.parametrize("is_secure", [True, False])
def test_googles_grpc_client_is_one_clear_line(*, is_secure: bool) -> None:
    """Google's own gRPC client, with its TLS or without, makes it print what to set, once."""
    with started() as (port, process):
        target = f"127.0.0.1:{port}"
        channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials())
            if is_secure
            else grpc.insecure_channel(target)
        )
        transport = LoggingServiceV2GrpcTransport(
            channel=channel, credentials=google.auth.credentials.AnonymousCredentials()
        )
        client = LoggingServiceV2Client(transport=transport)
        with pytest.raises(Exception, match=r"."):
            client.write_log_entries(entries=[], timeout=3, retry=None)
        channel.close()
        line = line_of(process)
        assert f"a client speaks {'TLS' if is_secure else 'gRPC'}" in line
        assert "_use_grpc=False" in line
        process.terminate()
        assert process.communicate(timeout=30)[1] == ""


def test_a_request_in_pieces_is_http(emulator: Emulator) -> None:
    """The first bytes may come one by one; a connection without any is counted and dropped."""
    host, _, port = emulator.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /emulator/stats HTTP/1.1\r\nHost: localhost\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.makefile().readline().startswith("HTTP/1.1 200")
    with socket.create_connection((host, int(port)), timeout=20) as silent:
        deadline = time.monotonic() + 20
        while emulator.stats()["connections"]["open"] != 1:
            assert time.monotonic() < deadline
        emulator.fault("outage", seconds=0.1)
        assert silent.recv(1) == b""


def test_the_guard_alone() -> None:
    """Names compare without case and final dot; a name is never a prefix or a part of another."""
    guard = Guard(["Logging."])
    guard.check_caller(["logging.:80"], [])
    guard.check_content("GET", [])
    for host in ("logging.:80:80", "a logging", "[logging]", "logging/x", ""):
        with pytest.raises(Exception, match="is refused"):
            guard.check_caller([host], [])
