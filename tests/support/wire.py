"""Runs servers for tests of the wire: HTTP, raw sockets, metadata; makes certificates and keys."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import HTTPServer
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class JsonHandler(BaseHTTPRequestHandler):
    """Reads and answers JSON over HTTP; prints nothing."""

    def do_POST(self) -> None:
        """Answer by the test's own method."""
        self.post()

    def post(self) -> None:
        """Answer a POST."""
        raise NotImplementedError

    def asked(self) -> Any:
        """Return the body of the request."""
        return json.loads(self.content())

    def content(self) -> bytes:
        """Return the bytes of the body."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        """Answer; an underscore in a header's name stands for a hyphen."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """Run a server in a thread; give its URL."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class RawServer:
    """Accepts connections and does with each what the test says, in a thread of its own."""

    def __init__(
        self,
        act: Callable[[socket.socket], object],
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Listen on a free port of an address of this machine."""
        self.act = act
        self.accepted = self.closed = 0
        self.over = threading.Event()
        self._context = context
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        scheme = "http" if context is None else "https"
        self._host, self.port = host, self._listener.getsockname()[1]
        self.url = f"{scheme}://{host}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.over.is_set():
                connection.close()
                return
            self.accepted += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                self.act(connection)
        self.closed += 1

    def close(self) -> None:
        """End all threads and connections."""
        self.over.set()
        with contextlib.suppress(OSError), socket.create_connection((self._host, self.port), 5):
            pass
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> RawServer:  # noqa: PYI034 - typing.Self is not in 3.10
        """Return the server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def read_request(connection: socket.socket) -> tuple[str, bytes]:
    """Read one request: its head and its body; ConnectionError if the peer has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65_536)):
            raise ConnectionError
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        if not (chunk := connection.recv(65_536)):
            raise ConnectionError
        body += chunk
    return head.decode(), body


def answer(
    connection: socket.socket, status: int, body: object = None, *headers: str, close: bool = False
) -> None:
    """Send an answer."""
    raw = json.dumps(body if body is not None else {}).encode()
    lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", *headers]
    lines += [f"Content-Length: {len(raw)}", *(["Connection: close"] if close else [])]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def make_key() -> tuple[rsa.RSAPrivateKey, str]:
    """Return a new private key, also as PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key, pem.decode()


def make_certificate(folder: Path, *hosts: str) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context for addresses or names, and the file of who signed it: itself."""
    key, pem = make_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "forklog test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [_general_name(host) for host in hosts]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "server.pem", folder / "server.key"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_text(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, path


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def account_file(path: Path, token_uri: str, pem: str, **fields: Any) -> Path:
    """Write the file of a service account whose tokens come from ``token_uri``."""
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "logger@p.iam.gserviceaccount.com",
        "token_uri": token_uri,
        **fields,
    }
    path.write_text(json.dumps(account))
    return path


_VALUES = {
    "project/project-id": "meta-project",
    "instance/id": "42",
    "instance/zone": "projects/1/zones/z",
    "instance/service-accounts/default/email": "m@p.example",
    "": "",
}


class Metadata:
    """A metadata server; hangs, is slow or fails for its first questions, as the test says."""

    def __init__(self, way: str = "quick", bad: int = 0) -> None:
        """Listen; ``bad`` questions are answered in the ``way`` that is named."""
        self.way, self.bad, self.asked = way, bad, 0
        self.heads: list[str] = []
        self.tokens = 0
        self.life = 3600
        self.tell = self._tell
        self.server = RawServer(self._serve)
        host = self.server.url.removeprefix("http://")
        self.environ = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}

    def _serve(self, connection: socket.socket) -> None:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (chunk := connection.recv(65_536)):
                    return
                head += chunk
            self.asked += 1
            self.heads.append(head.decode())
            if self.asked <= self.bad and self.way == "hangs":
                self.server.over.wait(60)
                return
            if self.asked <= self.bad and self.way == "fails":
                answer(connection, 503, None, "Metadata-Flavor: Google")
                continue
            if self.way == "slow":
                time.sleep(0.3)
            self.tell(connection, self.heads[-1])

    def _tell(self, connection: socket.socket, head: str) -> None:
        path = head.split()[1].partition("?")[0].removeprefix("/computeMetadata/v1/").strip("/")
        flavor = "Metadata-Flavor: Google"
        if path.endswith("/token"):
            self.tokens += 1
            token = f"meta-{self.tokens}"
            answer(connection, 200, {"access_token": token, "expires_in": self.life}, flavor)
        elif path in _VALUES:
            text = _VALUES[path].encode()
            lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/text\r\n{flavor}\r\n"
            connection.sendall(f"{lines}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        elif "service-accounts" in path:
            answer(connection, 200, {"email": "m@p.example", "scopes": []}, flavor)
        else:
            answer(connection, 404, None, flavor)
