"""Workers of queues and pools with a spool that are killed: each record is shown once."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import redis
import rq
from fakeredis import TcpFakeServer
from helpers import wait_until
from killed_site import APPS, PATIENCE, KilledSite
from packages import need_redis_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[KilledSite]:
    """Return the application, to be started; its processes are killed in the end."""
    running = KilledSite(emulator, tmp_path)
    yield running
    running.kill_all()


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int | None]:
    """Return the port of a real Redis, None where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    call = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: server.poll() is not None or _answers(port), PATIENCE)
            assert server.poll() is None, "redis-server has ended"
            yield port
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def queue(redis_port: int | None) -> Iterator[rq.Queue]:
    """Return a queue of RQ, in a real Redis where one is installed."""
    if redis_port is not None:
        with redis.Redis(port=redis_port) as connection:
            yield rq.Queue(connection=connection)
        return
    need_redis_scripts()
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    with redis.Redis(port=server.server_address[1]) as connection:
        yield rq.Queue(connection=connection)
    server.shutdown()
    server.server_close()
    thread.join()


def test_celery(site: KilledSite, redis_port: int | None) -> None:
    """Children that are killed, that end, and that the hard time limit ends, lose nothing."""
    if redis_port is not None:
        site.environ["KILLED_BROKER"] = f"redis://127.0.0.1:{redis_port}/0"
    else:
        (site.folder / "broker").mkdir()
        site.environ["KILLED_BROKER"] = "filesystem://"
        site.environ["KILLED_BROKER_FOLDER"] = str(site.folder / "broker")
    options = "--concurrency=1", "--without-gossip", "--without-mingle"
    site.run("-m", "celery", "-A", "killed_celery", "worker", *options)
    site.call(str(APPS / "killed_celery.py"))
    site.wait_logged(2 * 4 + 7 * 20)  # the boot records of two programs
    site.check()


def test_a_process_pool(site: KilledSite) -> None:
    """What a killed worker of a pool has logged is delivered by its parent."""
    site.run(str(APPS / "killed_pool.py"))
    site.wait_logged(4 + 2 * 100 + 1)
    site.check()


@pytest.mark.parametrize("imports", [(), ("killed_app",)], ids=["in the horse", "in the worker"])
def test_work_horses(site: KilledSite, queue: rq.Queue, imports: tuple[str, ...]) -> None:
    """The next horse delivers what a killed one has logged."""
    for how in ("", "kill", "", "exit", ""):
        queue.enqueue("killed_app.work", 20, how)
    port = queue.connection.connection_pool.connection_kwargs["port"]
    worker = site.run(str(APPS / "rq_worker.py"), str(port), *imports)
    assert worker.wait(PATIENCE) == 0, site.output()
    site.check()
