"""Forks while TLS connections are being opened: a name resolved, a handshake done, keys checked.

The locks of C that stand there (the resolver's, OpenSSL's, malloc's) are copied by a fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import python_path, state_numbers
from wire import RawServer, answer, make_certificate, read_request

if TYPE_CHECKING:
    import socket

_FORKS = int(os.environ.get("FORKLOG_TLS_FORKS", "60"))
_PROGRAM = Path(__file__).parent / "tls_client.py"


def _take(connection: socket.socket) -> None:
    """Take one request; the next one needs a connection of its own."""
    read_request(connection)
    answer(connection, 200, close=True)


def test_forks_while_connections_are_opened(tmp_path: Path) -> None:
    """Each child delivers its record by a TLS connection of its own; none hangs, none crashes.

    FORKLOG_TLS_FORKS sets how many. gdb writes the stacks of a child that hangs.
    """
    context, signer = make_certificate(tmp_path, "localhost")
    with RawServer(_take, context) as server:
        environ = {
            **os.environ,
            "PYTHONPATH": python_path(),
            "REQUESTS_CA_BUNDLE": str(signer),
            "URL": f"https://localhost:{server.port}",
            "FORKS": str(_FORKS),
            "STACKS": str(tmp_path),
        }
        environ.pop("COVERAGE_PROCESS_CONFIG", None)
        done = subprocess.run(
            [sys.executable, _PROGRAM],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60 + 2 * _FORKS,
            check=False,
        )
    assert not done.returncode, done.stderr
    state_numbers(done.stdout)
    stacks = "\n".join(path.read_text() for path in tmp_path.glob("child-*.txt"))
    found = json.loads(done.stdout)
    assert found["ends"] == {"delivered": _FORKS}, f"{found}\n{done.stderr}\n{stacks}"
    assert found["parent"], found
