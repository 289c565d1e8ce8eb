"""Runs a Redis for one test: the real one where it is installed, else fakeredis by TCP."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fakeredis import TcpFakeServer
from helpers import wait_until
from packages import need_redis_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("redis-server")
"""The path of the real one, None where it is not installed."""


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """Run a Redis; give its port. Skips the test where neither can run."""
    with _real(PROGRAM) if PROGRAM else _fake() as port:
        yield port


@contextlib.contextmanager
def _real(program: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with TemporaryDirectory() as folder:
        call = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(call, stdout=subprocess.DEVNULL) as server:
            try:
                wait_until(lambda: server.poll() is not None or _answers(port), 60)
                assert server.poll() is None, "redis-server has ended"
                yield port
            finally:
                server.kill()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def _fake() -> Iterator[int]:
    need_redis_scripts()
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
