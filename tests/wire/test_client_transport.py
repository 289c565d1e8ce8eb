"""Google's own client as a wire: over HTTP to the emulator, over gRPC to a server of the test.

Each body runs in a fresh interpreter, because gRPC starts threads that outlive a test.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import few, further
from helpers import check_python
from wire import RawServer, make_certificate, read_request, reset

from forklog import OptionError
from forklog.transports.google import ClientTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

_SETUP = """
import logging, os, warnings
warnings.simplefilter("ignore")
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as google_logging
from forklog import CloudLoggingHandler
from forklog.transports.google import ClientTransport
called = []

def factory():
    called.append(os.getpid())
    return google_logging.Client(
        project="p", credentials=AnonymousCredentials(), _use_grpc=GRPC,
        client_options={"api_endpoint": URL},
    )

handler = CloudLoggingHandler(
    log_name="shop/web", labels={"env": "test"}, resource={"type": "global", "labels": {"a": "b"}},
    transport=ClientTransport(factory), max_latency=0.05, max_retry_delay=0.2,
)
log = logging.getLogger("app")
log.addHandler(handler)
log.setLevel(logging.INFO)
assert called == []
"""
_HTTP = _SETUP.replace("_use_grpc=GRPC", "_use_grpc=False").replace("URL", 'os.environ["URL"]')
_GRPC = _SETUP.replace("_use_grpc=GRPC", "_use_grpc=True").replace("URL", 'os.environ["URL"]')


def test_the_unmodified_client_over_http(emulator: Emulator) -> None:
    """Entries have the handler's log, labels and resource; each process calls the factory."""
    check_python(
        _HTTP
        + """
log.warning("in the parent", extra={"trace": "t", "span_id": "456", "json_fields": {"n": 1}})
assert handler.flush(20), handler.stats()
for number in range(3):
    pid = os.fork()
    if pid == 0:
        log.info("in child %d", number)
        assert handler.flush(20), handler.stats()
        os._exit(DONE if called[-1] == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
assert called == [os.getpid()]
assert handler.project_id == "p"
handler.close()
""",
        60,
        {"URL": emulator.url},
        is_covered=False,
    )
    entries = emulator.entries()
    assert {entry["logName"] for entry in entries} == {"projects/p/logs/shop%2Fweb"}
    first = entries[0]
    assert first["jsonPayload"] == {"message": "in the parent", "n": 1}
    assert (first["trace"], first["spanId"], first["severity"]) == ("t", "456", "WARNING")
    assert first["labels"] == {"env": "test", "python_logger": "app"}
    assert first["resource"] == {"type": "global", "labels": {"project_id": "p", "a": "b"}}
    texts = [entry["textPayload"] for entry in entries[1:]]
    assert sorted(texts) == ["in child 0", "in child 1", "in child 2"]


_FAILURES = """
for number in range(4):
    log.info("record %d", number)
assert handler.flush(30) is not bool(DROPPED), handler.stats()
stats = handler.stats()
assert (stats.delivered, dict(stats.dropped)) == (DELIVERED, DROPPED), stats
handler.close()
"""


@pytest.mark.parametrize(
    ("faults", "delivered", "dropped"),
    [
        *further(([{"kind": "status", "status": 503, "count": 2}], 4, {})),
        *further(([{"kind": "status", "status": 429, "count": 1}], 4, {})),
        *further(([{"kind": "drop", "count": 1}], 4, {})),
        ([{"kind": "refuse", "index": 1, "count": 1}], 3, {"refused": 1}),
    ],
    ids=["unavailable", "quota", "reset", "one refused"],
)
def test_its_exceptions_over_http_are_verdicts(
    emulator: Emulator, faults: list[dict[str, Any]], delivered: int, dropped: dict[str, int]
) -> None:
    """What passes by itself is retried; what the server refuses costs itself alone."""
    for fault in faults:
        emulator.fault(**fault)
    body = _FAILURES.replace("DELIVERED", str(delivered)).replace("DROPPED", str(dropped))
    check_python(_HTTP + body, 60, {"URL": emulator.url}, is_covered=False)
    found = [e["textPayload"] for e in emulator.entries() if "textPayload" in e]
    assert len(found) == delivered


def test_over_http_a_json_object_alone_confirms() -> None:
    """Another success, such as a proxy's 204 or a list, has the batch sent again.

    Class of fault: what no server of Cloud Logging has confirmed counts as delivered; siblings:
    `test_no_other_success_confirms`, `test_a_laptop_gets_json_lines_on_stderr`.
    """
    body = """
import http.server, threading
answers, taken = [(204, b""), (200, b"[]"), (202, b""), (200, b"{}")], []
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = answers[len(taken) - 1]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_given):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["URL"] = f"http://127.0.0.1:{server.server_port}"
"""
    body += (
        _HTTP
        + """
log.info("once")
assert handler.flush(30), handler.stats()
assert len(taken) == 4, taken
assert (handler.stats().delivered, handler.stats().retries) == (1, 3), handler.stats()
handler.close()
"""
    )
    check_python("import os" + body, 60, is_covered=False)


@contextlib.contextmanager
def _server(folder: Path, script: list[Any], *tls: Path) -> Iterator[tuple[str, Path]]:
    """Run a server that speaks gRPC; give its address, and the file with what it takes."""
    file = folder / "requests.jsonl"
    file.touch()
    program = Path(__file__).parents[1] / "support" / "grpc_logging.py"
    process = subprocess.Popen(
        [sys.executable, program, file, json.dumps(script), *tls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield f"localhost:{int(process.stdout.readline())}", file
        process.communicate(timeout=20)


def _requests(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_unmodified_client_over_grpc(tmp_path: Path) -> None:
    """Google's client with its default protocol, over TLS, delivers in a parent and its child."""
    _, pem = make_certificate(tmp_path, "localhost")
    with _server(tmp_path, [], pem, tmp_path / "server.key") as (address, file):
        check_python(
            _GRPC
            + """
pid = os.fork()
log.warning("in %s", "the child" if pid == 0 else "the parent", extra={"labels": {"c": "d"}})
assert handler.flush(30), handler.stats()
if pid == 0:
    os._exit(DONE)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
assert called == [os.getpid()]
handler.close()
""",
            60,
            {"URL": address, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pem)},
            is_covered=False,
        )
        requests = _requests(file)
    bodies = [request["body"] for request in requests]
    assert {body["logName"] for body in bodies} == {"projects/p/logs/shop%2Fweb"}
    assert bodies[0]["labels"] == {"env": "test"}
    assert bodies[0]["resource"] == {"type": "global", "labels": {"a": "b"}}
    entries = [entry for body in bodies for entry in body["entries"]]
    assert sorted(entry["textPayload"] for entry in entries) == ["in the child", "in the parent"]
    assert all(entry["labels"] == {"python_logger": "app", "c": "d"} for entry in entries)
    assert all(0 < request["left"] <= 30 for request in requests), "one deadline, ours"


@pytest.mark.parametrize(
    ("script", "delivered", "dropped"),
    [
        *further((["UNAVAILABLE", "INTERNAL"], 4, {})),
        *further((["RESOURCE_EXHAUSTED"], 4, {})),
        ([{"1": [3, "bad"]}], 3, {"refused": 1}),
        *further(([{"0": [14, "later"]}], 4, {})),
    ],
    ids=["passing", "quota", "one refused", "one later"],
)
def test_its_exceptions_over_grpc_are_verdicts(
    tmp_path: Path, script: list[Any], delivered: int, dropped: dict[str, int]
) -> None:
    """The client of gRPC's own package is taken too; statuses and details become verdicts."""
    gapic = """
import grpc
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import (
    LoggingServiceV2GrpcTransport,
)

def insecure():
    called.append(os.getpid())
    channel = grpc.insecure_channel(os.environ["URL"])
    return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel))

handler.close()
log.removeHandler(handler)
handler = CloudLoggingHandler(
    project="p", resource={"type": "global"}, transport=ClientTransport(insecure),
    max_latency=0.2, max_retry_delay=0.2,
)
log.addHandler(handler)
"""
    body = _FAILURES.replace("DELIVERED", str(delivered)).replace("DROPPED", str(dropped))
    with _server(tmp_path, script) as (address, file):
        check_python(_GRPC + gapic + body, 60, {"URL": address}, is_covered=False)
        requests = _requests(file)
    assert [request["outcome"] for request in requests[: len(script)]] == script
    assert len(requests) > len(script) or "refused" in dropped


_NEVER_SENT = """
handler.close()
from forklog.options import Options
from forklog.transports.base import Kind, WireError, verdict_of
options = Options(project="p", resource={"type": "global"})
wire = ClientTransport(factory).with_options(options, lambda _project: None).open()
try:
    verdict = wire.send([b'{"textPayload": "t"}'], float(os.environ.get("SECONDS", "20")))
except WireError as error:
    verdict = verdict_of(error, is_first_attempt=True)
assert (verdict.kind, verdict.is_of_content) == (Kind.RETRY, False), verdict
wire.close()
"""
_BLOCKED = _NEVER_SENT.replace("Kind.RETRY", "Kind.BLOCKED")
_SENT = _NEVER_SENT.replace("(Kind.RETRY, False)", "(Kind.RETRY, True)")


@pytest.mark.parametrize(
    ("client", "host"),
    [
        ("grpc", "nowhere.invalid:9"),
        *further(("http", "127.0.0.1:9"), ("http", "nowhere.invalid:9"), ("grpc", "127.0.0.1:9")),
    ],
)
def test_a_connection_that_was_never_made_is_no_fault_of_an_entry(client: str, host: str) -> None:
    """No byte of the request was sent, so no entry is tried alone for it."""
    body = {"http": _HTTP, "grpc": _GRPC}[client] + _NEVER_SENT
    url = f"http://{host}" if client == "http" else host
    check_python(body, 60, {"URL": url}, is_covered=False)


def _close(connection: socket.socket) -> None:
    connection.recv(10)


def _reset(connection: socket.socket) -> None:
    connection.recv(10)
    reset(connection)


def _answer_in_the_clear(connection: socket.socket) -> None:
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _be_silent(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def _ask_for_another_version(connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate to show
    context.wrap_socket(connection, server_side=True)


_HANDSHAKES = [_close, _reset, _answer_in_the_clear, _be_silent, _ask_for_another_version]


@pytest.mark.parametrize(
    ("client", "act"),
    few(
        itertools.product(["http", "grpc"], _HANDSHAKES),
        *[("http", _answer_in_the_clear), ("grpc", _close)],
    ),
)
def test_a_handshake_that_fails_is_no_fault_of_an_entry(client: str, act: Any) -> None:
    """The connection is there, but TLS is not: no byte of the request was sent."""
    with RawServer(act) as server:
        url = f"https://127.0.0.1:{server.port}" if client == "http" else f"127.0.0.1:{server.port}"
        body = {"http": _HTTP, "grpc": _GRPC}[client] + _NEVER_SENT
        check_python(body, 60, {"URL": url, "SECONDS": "4"}, is_covered=False)
        assert server.accepted


@contextlib.contextmanager
def _full_port() -> Iterator[str]:
    """Give the address of a queue that is full: it drops what wants to connect."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("client", few(["http", "grpc"], "http"))
def test_a_port_that_never_answers_is_no_fault_of_an_entry(client: str) -> None:
    """A queue that is full drops what wants to connect, as a firewall does."""
    with _full_port() as address:
        url = f"https://{address}" if client == "http" else address
        body = {"http": _HTTP, "grpc": _GRPC}[client] + _NEVER_SENT
        check_python(body, 60, {"URL": url, "SECONDS": "4"}, is_covered=False)


def test_to_ask_a_channel_leaves_no_thread_behind() -> None:
    """A process with an open channel may fork at once, and end: gRPC hangs in its own thread.

    The channel is one that interceptors wrap.
    """
    body = """
import os, threading, warnings
warnings.simplefilter("ignore")
import grpc
from forklog.transports.google.client_errors import _is_unconnected
class Pass(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, go_on, details, request):
        return go_on(details, request)
channel = grpc.insecure_channel(os.environ["URL"])
wrapped = grpc.intercept_channel(grpc.intercept_channel(channel, Pass()), Pass())
assert not _is_unconnected(wrapped)
try:
    channel.unary_unary("/a/b")(b"", timeout=0.5)
except grpc.RpcError as error:
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
assert _is_unconnected(wrapped)
assert _is_unconnected(channel)
assert threading.enumerate() == [threading.main_thread()]
pid = os.fork()
if pid == 0:
    os._exit(DONE)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
closed = grpc.insecure_channel(os.environ["URL"])
closed.close()
assert not any(map(_is_unconnected, [closed, None, object()]))
"""
    with _full_port() as address:
        done = check_python(body, 60, {"URL": address}, is_covered=False)
    assert not done.stderr


@pytest.mark.parametrize(
    ("client", "host"),
    [
        ("grpc", "localhost"),
        *further(("http", "other.example"), ("http", "localhost"), ("grpc", "other.example")),
    ],
)
def test_a_certificate_that_is_not_trusted_blocks(client: str, host: str, tmp_path: Path) -> None:
    """Only a person can repair one that no authority has signed, or one of another name."""
    context, pem = make_certificate(tmp_path, host)
    trusted = {} if host == "localhost" else {"REQUESTS_CA_BUNDLE": str(pem)}
    if trusted:
        trusted["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(pem)
    with contextlib.ExitStack() as stack:
        if client == "http":
            server = stack.enter_context(RawServer(_close, context))
            url = f"https://localhost:{server.port}"
        else:
            key = tmp_path / "server.key"
            url, _ = stack.enter_context(_server(tmp_path, [], pem, key))
        body = {"http": _HTTP, "grpc": _GRPC}[client] + _BLOCKED
        check_python(body, 60, {"URL": url, **trusted}, is_covered=False)


def _read_and_close(connection: socket.socket) -> None:
    read_request(connection)


def _read_and_be_silent(connection: socket.socket) -> None:
    read_request(connection)
    _be_silent(connection)


@pytest.mark.parametrize("act", few([_read_and_close, _read_and_be_silent], _read_and_close))
def test_over_http_a_request_that_was_sent_may_be_an_entrys_fault(act: Any, tmp_path: Path) -> None:
    """A firewall that reads it may cut the connection for what it holds."""
    context, pem = make_certificate(tmp_path, "localhost")
    with RawServer(act, context) as server:
        given = {"URL": f"https://localhost:{server.port}", "REQUESTS_CA_BUNDLE": str(pem)}
        check_python(_HTTP + _SENT, 60, {**given, "SECONDS": "4"}, is_covered=False)


def test_over_grpc_a_request_that_was_sent_may_be_an_entrys_fault(tmp_path: Path) -> None:
    """A deadline that ends while the channel is ready says nothing of the connection."""
    _, pem = make_certificate(tmp_path, "localhost")
    with _server(tmp_path, ["DEADLINE_EXCEEDED"], pem, tmp_path / "server.key") as (address, _):
        given = {"URL": address, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pem)}
        check_python(_GRPC + _SENT, 60, given, is_covered=False)


_ASYNC = """
    import asyncio
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient
    asyncio.set_event_loop(asyncio.new_event_loop())
    os.environ["GOOGLE_CLOUD_PROJECT"] = "p"
    return LoggingServiceV2AsyncClient(credentials=AnonymousCredentials())
"""


def test_what_is_no_factory_is_refused() -> None:
    """A client in place of its factory would be used in every process."""
    with pytest.raises(OptionError, match="option factory=<object>: must be callable"):
        ClientTransport(object())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('s3cret')", "the factory of the client raised ValueError"),
        *further(
            ("return object()", "the factory returned object, which is no client of Google's")
        ),
        *further(("return type('C', (), {'api_request': None})()", "the project is not known")),
        *further(
            (_ASYNC, "LoggingServiceV2AsyncClient, which is no client of Google's that waits")
        ),
    ],
)
def test_a_factory_that_fails_blocks(body: str, reason: str) -> None:
    """What only a person can correct is reported by its kind, and the records wait."""
    done = check_python(
        f"""
import logging, os
os.environ.pop("GOOGLE_CLOUD_PROJECT", None)
from forklog import CloudLoggingHandler
from forklog.transports.google import ClientTransport
def factory():
    {body}
handler = CloudLoggingHandler(transport=ClientTransport(factory), last_resort="none")
handler.handle(logging.makeLogRecord({{"msg": "m"}}))
assert not handler.flush(1)
assert handler.stats().pending == 1
os._exit(DONE)
""",
        60,
        is_covered=False,
    )
    assert reason in done.stderr
    assert "s3cret" not in done.stderr


def test_without_the_extra_the_remedy_is_named() -> None:
    """Importing the name where google-cloud-logging is missing says how to install it."""
    check_python(
        """
import sys
sys.modules["google.api_core"] = None
sys.modules["google.api_core.exceptions"] = None
import forklog.transports.google
try:
    forklog.transports.google.ClientTransport
except ImportError as error:
    assert "install forklog with its extra google" in str(error)
else:
    raise AssertionError
assert not hasattr(forklog.transports.google, "Other")
""",
        is_covered=False,
    )


_SLOW = """
import threading
from google.auth.credentials import Credentials
released = threading.Event()
class Slow(Credentials):
    def refresh(self, request):
        HANG and released.wait(40)
        self.token = "t"
"""


@pytest.mark.parametrize("hangs", few([True, False], True))
def test_over_grpc_a_token_that_does_not_come_is_no_fault_of_an_entry(
    *, hangs: bool, tmp_path: Path
) -> None:
    """The server's channel is ready, but the request waits for its token until the deadline."""
    _, pem = make_certificate(tmp_path, "localhost")
    body = _SLOW.replace("HANG", str(hangs)) + _GRPC.replace("AnonymousCredentials()", "Slow()")
    body += (_NEVER_SENT if hangs else _SENT) + "released.set()\n"
    with _server(tmp_path, ["DEADLINE_EXCEEDED"], pem, tmp_path / "server.key") as (address, _):
        given = {"URL": address, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pem), "SECONDS": "4"}
        check_python(body, 60, given, is_covered=False)
