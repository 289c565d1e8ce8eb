"""RQ's work horses: forked for each job, ended by os._exit. A real worker, with Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import rq
from cases import further
from helpers import python_path
from redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

HERE = Path(__file__).parent / "apps"
JOBS = 3


@pytest.fixture
def queue() -> Iterator[rq.Queue]:
    """Return the queue that the worker takes from, in a Redis of this test's own."""
    with redis_server() as port, redis.Redis(port=port) as connection:
        yield rq.Queue(connection=connection)


def _work(queue: rq.Queue, emulator: Emulator, folder: Path, *imports: str) -> list[str]:
    """Have a worker do all jobs; return the ledger."""
    ledger = folder / "ledger"
    port = queue.connection.connection_pool.connection_kwargs["port"]
    done = subprocess.run(
        [sys.executable, str(HERE / "rq_worker.py"), str(port), *imports],
        env={
            **os.environ,
            "FORKLOG_TEST_LEDGER": str(ledger),
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PYTHONPATH": os.pathsep.join([str(HERE), python_path()]),
        },
        timeout=100,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return ledger.read_text().splitlines()


@pytest.mark.parametrize(
    "imports", [(), *further((("rq_jobs",),))], ids=["in the horse", "in the worker"]
)
def test_the_records_of_a_job_arrive_once(
    queue: rq.Queue, emulator: Emulator, tmp_path: Path, imports: tuple[str, ...]
) -> None:
    """Jobs far shorter than max_latency deliver, wherever the job's module is imported first."""
    for number in range(JOBS):
        queue.enqueue("rq_jobs.work", number)
    queue.enqueue("rq_jobs.fail", JOBS)
    ledger = _work(queue, emulator, tmp_path, *imports)
    arrived = [e["textPayload"] for e in emulator.entries('labels.python_logger="shop"')]
    assert sorted(arrived) == sorted(ledger)
    assert len(set(ledger)) == 2 * (JOBS + 1)
    assert emulator.duplicates() == []


def test_a_killed_horse_loses_its_last_records_alone(
    queue: rq.Queue, emulator: Emulator, tmp_path: Path
) -> None:
    """After kill -9 what had been sent is there, the rest is lost, and the next job delivers."""
    queue.enqueue("rq_jobs.die", 0)
    queue.enqueue("rq_jobs.work", 1)
    ledger = _work(queue, emulator, tmp_path, "rq_jobs")
    arrived = [e["textPayload"] for e in emulator.entries('labels.python_logger="shop"')]
    assert len(ledger) == 4
    assert arrived == [ledger[0], *ledger[2:]]
