"""The table of frameworks, by field, for the task queues: celery's prefork and RQ's horses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import python_path, wait_until
from redis_server import redis_server

from forklog.emulator.process import Emulator

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from site_of_framework import APPS, SPAN, Entry, text_of, trace_of

COUNT = 100
SECONDS = 150


def _environ(emulator: Emulator, folder: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "EXAMPLE_BROKER": str(folder / "broker"),
        "GOOGLE_CLOUD_PROJECT": "queues",
        "LOGGING_EMULATOR_HOST": emulator.host,
        "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
        **more,
    }


def _run(environ: dict[str, str], folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        timeout=SECONDS,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _check(entries: list[Entry], count: int, prefix: str, name: str) -> None:
    """Check each record of each task, the log of the queue itself included."""
    of_tasks = [e for e in entries if f"{prefix}_name" in e.get("labels", {})]
    texts = {text_of(e): e for e in of_tasks}
    ids = set()
    for number in range(count):
        for word in ("first", "second", "thread"):
            entry = texts[f"{word} {number}"]
            assert entry["trace"] == f"projects/queues/traces/{trace_of(number)}"
            assert entry["spanId"] == SPAN
            assert entry["traceSampled"] is True
            assert entry["labels"][f"{prefix}_name"] == name
            assert "httpRequest" not in entry
            ids.add(entry["labels"][f"{prefix}_id"])
    assert len(ids) == count
    tracebacks = [e for e in of_tasks if text_of(e).rstrip().endswith("RuntimeError: 0")]
    assert tracebacks
    assert {e["trace"] for e in tracebacks} == {f"projects/queues/traces/{trace_of(0)}"}


@pytest.mark.timeout(300)
def test_celery(emulator: Emulator, tmp_path: Path) -> None:
    """A task has the trace of the request that sent it, and its id and name as labels."""
    environ = _environ(emulator, tmp_path)
    _run(environ, tmp_path, str(APPS / "celery_tasks.py"), str(COUNT))
    command = ["-m", "celery", "-A", "celery_tasks", "worker", "--concurrency=2", "-l", "INFO"]
    with (tmp_path / "console").open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        done = 'textPayload:"succeeded" OR textPayload:"raised unexpected"'
        wait_until(lambda: len(emulator.entries(done)) >= COUNT, SECONDS, "all tasks")
    finally:
        worker.terminate()
        worker.wait(60)
    entries = emulator.entries()
    _check(entries, COUNT, "celery_task", "shop.work")
    # What celery's main process logs of itself, before and after the tasks, is of none.
    received = [e for e in entries if text_of(e).endswith("received")]
    assert len(received) == COUNT
    assert not [e for e in received if "trace" in e]


@pytest.fixture
def redis_port() -> Iterator[int]:
    """Run a Redis of this test's own; return its port."""
    with redis_server() as port:
        yield port


@pytest.mark.timeout(300)
def test_rq(emulator: Emulator, tmp_path: Path, redis_port: int) -> None:
    """A job has the trace of the request that sent it, and its id and name as labels."""
    environ = _environ(emulator, tmp_path, REDIS_PORT=str(redis_port))
    _run(environ, tmp_path, str(APPS / "rq_tasks.py"), str(COUNT))
    entries = emulator.entries()
    _check(entries, COUNT, "rq_job", "tasks.work")
    before = [e for e in entries if text_of(e).startswith("*** Listening")]
    assert before
    assert not [e for e in before if "trace" in e]
