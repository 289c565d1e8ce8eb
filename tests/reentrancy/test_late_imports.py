"""What the flush thread needs is loaded before it starts.

A module that the thread is importing while the process forks stays half imported in the child. Its
lock is held by a thread that the child has not, so whoever imports it there waits for ever.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from cases import further
from helpers import check_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TOKEN = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
_BODY = """
    import sys, threading
    late = []
    def see(event, values):
        if event == "import" and threading.current_thread().name.startswith("forklog-flush"):
            late.append(values[0])
    import forklog, logging
    handler = forklog.CloudLoggingHandler(
        endpoint="https://logging.invalid", project="p", shutdown_timeout=1, last_resort="none")
    logging.getLogger("app").addHandler(handler)
    sys.addaudithook(see)
    logging.getLogger("app").error("first")
    import time
    end = time.monotonic() + 20
    while not handler.stats().retries and time.monotonic() < end:
        time.sleep(0.01)
    assert handler.stats().requests, handler.stats()
    assert not late, late
    handler.close()
"""


class _Tokens(BaseHTTPRequestHandler):
    """A metadata server and a token endpoint in one."""

    def do_GET(self) -> None:
        text = "p" if self.path.endswith("project-id") else json.dumps({**_TOKEN, "aliases": []})
        if "service-accounts/default/?" in self.path:
            text = json.dumps({"email": "a@b", "scopes": [], "aliases": []})
        self._answer(text)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(json.dumps({**_TOKEN, "issued_token_type": "x"}))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        kind = "application/json" if text.startswith("{") else "application/text"
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def tokens() -> Iterator[str]:
    """Return host and port of a server that gives tokens."""
    server = HTTPServer(("127.0.0.1", 0), _Tokens)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _credentials(kind: str, host: str, folder: Path) -> dict[str, str]:
    subject = folder / "subject"
    subject.write_text("subject token")
    return {
        "authorized_user": {
            "client_id": "a",
            "client_secret": "b",
            "refresh_token": "c",
            "token_uri": f"http://{host}/token",
        },
        "external_account": {
            "audience": "//iam.googleapis.com/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": str(subject)},
        },
        "service_account": {
            "client_email": "a@b",
            "private_key": _private_key(),
            "token_uri": f"http://{host}/token",
        },
    }[kind]


def _private_key() -> str:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - as above

    key = rsa.generate_private_key(65_537, 2048)
    return str(
        key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    )


@pytest.mark.parametrize(
    "kind",
    [
        *["metadata", "service_account"],
        *further("authorized_user", "external_account", mark=pytest.mark.thorough),
    ],
)
def test_the_thread_imports_nothing(kind: str, tokens: str, tmp_path: Path) -> None:
    """From the first record to the request, with any kind of credentials, no module is loaded."""
    env = {"GCE_METADATA_HOST": tokens, "GCE_METADATA_IP": tokens, "NO_PROXY": "*"}
    if kind != "metadata":
        file = tmp_path / "credentials.json"
        file.write_text(json.dumps({"type": kind, **_credentials(kind, tokens, tmp_path)}))
        env["GOOGLE_APPLICATION_CREDENTIALS"] = str(file)
    check_python(_BODY, env=env)


def test_a_spool_is_loaded_by_its_handler_alone(tokens: str, tmp_path: Path) -> None:
    """What writes and reads it is there once the handler is, and where no handler has one, never.

    Closes: 27 modules, an eighth of the time of a start, for an option that is off.
    """
    is_there = 'any(name.startswith("forklog.spool") for name in sys.modules)'
    at_hook = "sys.addaudithook(see)"
    env = {"GCE_METADATA_HOST": tokens, "GCE_METADATA_IP": tokens, "NO_PROXY": "*"}
    check_python(_BODY.replace(at_hook, f"assert not {is_there}\n    {at_hook}"), env=env)
    body = _BODY.replace(at_hook, f"assert {is_there}\n    {at_hook}")
    body = body.replace("project=", f'spool="{tmp_path / "spool"}", project=')
    check_python(body, env=env)
    assert any((tmp_path / "spool").iterdir())


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports came with Python 3.15")
@pytest.mark.parametrize("first", [0, 1])
def test_two_threads_that_import_at_once_leave_imports_lazy(first: int) -> None:
    """Whichever ends first, the mode of the application is back after both."""
    code = """
        import sys
        from forklog.handling.eager import eager
        uses = [eager(), eager()]
        for use in uses:
            use.__enter__()
        assert sys.get_lazy_imports() == "normal"
        for use in (uses[FIRST], uses[1 - FIRST]):
            use.__exit__(None, None, None)
        assert sys.get_lazy_imports() == "all"
    """
    check_python(code.replace("FIRST", str(first)), env={"PYTHON_LAZY_IMPORTS": "all"})


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports came with Python 3.15")
@pytest.mark.parametrize("spool", ["", "spool='auto', "], ids=["no spool", "spool"])
def test_a_process_whose_imports_are_lazy(spool: str) -> None:
    """With `-X lazy_imports=all` a log call imports nothing, and the flush thread neither.

    Closes: 13 modules imported by the first record, 19 by one with an exception.
    """
    done = check_python(
        _BODY.replace("project=", f"{spool}project=").replace(
            'logging.getLogger("app").error("first")',
            """
    before = set(sys.modules)
    logging.getLogger("app").error("first")
    logging.getLogger("app").error("%s", "fields", extra={"json_fields": {"a": 1}})
    own = [name for name in set(sys.modules) - before if name.startswith("forklog")]
    assert sys.get_lazy_imports() == "all"
    assert not own, own
    """,
        ),
        env={"PYTHON_LAZY_IMPORTS": "all"},
    )
    assert not done.stderr.count("Traceback"), done.stderr
