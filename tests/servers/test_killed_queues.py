"""Workers of queues and pools with a spool that are killed: each record is shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
import rq
from cases import further
from killed_site import APPS, PATIENCE, KilledSite
from redis_server import PROGRAM, redis_server

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
def queue() -> Iterator[rq.Queue]:
    """Return a queue of RQ."""
    with redis_server() as port, redis.Redis(port=port) as connection:
        yield rq.Queue(connection=connection)


@pytest.fixture
def broker(site: KilledSite) -> Iterator[None]:
    """Have celery take its tasks from Redis, from files where no real one is installed."""
    if PROGRAM is None:
        (site.folder / "broker").mkdir()
        site.environ["KILLED_BROKER"] = "filesystem://"
        site.environ["KILLED_BROKER_FOLDER"] = str(site.folder / "broker")
        yield
        return
    with redis_server() as port:
        site.environ["KILLED_BROKER"] = f"redis://127.0.0.1:{port}/0"
        yield


@pytest.mark.usefixtures("broker")
def test_celery(site: KilledSite) -> None:
    """Children that are killed, that end, and that the hard time limit ends, lose nothing."""
    options = "--concurrency=1", "--without-gossip", "--without-mingle"
    site.run("-m", "celery", "-A", "killed_celery", "worker", *options)
    site.call(str(APPS / "killed_celery.py"))
    site.wait_logged(2 * 4 + 7 * 20)  # the imports of two programs
    site.check()


def test_a_process_pool(site: KilledSite) -> None:
    """What a killed worker of a pool has logged is delivered by its parent."""
    site.run(str(APPS / "killed_pool.py"))
    site.wait_logged(4 + 2 * 100 + 1)
    site.check()


@pytest.mark.parametrize(
    "imports", [*further(((),)), ("killed_app",)], ids=["in the horse", "in the worker"]
)
def test_work_horses(site: KilledSite, queue: rq.Queue, imports: tuple[str, ...]) -> None:
    """The next horse delivers what a killed one has logged."""
    for how in ("", "kill", "", "exit", ""):
        queue.enqueue("killed_app.work", 20, how)
    port = queue.connection.connection_pool.connection_kwargs["port"]
    worker = site.run(str(APPS / "rq_worker.py"), str(port), *imports)
    assert worker.wait(PATIENCE) == 0, site.output()
    site.check()
