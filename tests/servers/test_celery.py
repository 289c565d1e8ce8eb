"""celery prefork: its children end by os._exit, and only its own signal runs before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = 30
HERE = Path(__file__).parent


@pytest.fixture
def server() -> Iterator[Emulator]:
    """Run an emulator of this test's own."""
    with Emulator.start() as emulator:
        yield emulator


def _environment(tmp_path: Path, server: Emulator, max_tasks: int) -> dict[str, str]:
    broker = tmp_path / "broker"
    (broker / "control").mkdir(parents=True)
    return {
        **os.environ,
        "LOGGING_EMULATOR_HOST": server.host,
        "FORKLOG_TEST_BROKER": str(broker),
        "FORKLOG_TEST_LEDGER": str(tmp_path / "ledger"),
        "FORKLOG_TEST_MAX_TASKS": str(max_tasks),
    }


def _wait_for_lines(ledger: Path, count: int, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    lines: list[str] = []
    while time.monotonic() < deadline:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.05)
    pytest.fail(f"{len(lines)} of {count} tasks ran within {seconds} s")


@pytest.mark.parametrize("max_tasks", [1000, 4], ids=["long-lived", "max-tasks-per-child"])
def test_records_of_tasks_arrive_once(tmp_path: Path, server: Emulator, max_tasks: int) -> None:
    """Every record of every task arrives exactly once, by the hook of celery's warm shutdown."""
    environment = _environment(tmp_path, server, max_tasks)
    call = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_app",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
    ]
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            call, env=environment, cwd=HERE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        subprocess.run(
            [sys.executable, "celery_app.py", str(TASKS)],
            env=environment, cwd=HERE, check=True, timeout=60,
        )  # fmt: skip
        ledger = _wait_for_lines(tmp_path / "ledger", TASKS, 60)
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    expected = sorted(f"task {number} in {pid}" for pid, number in map(str.split, ledger))
    arrived = [e["textPayload"] for e in server.entries('labels.python_logger="celery_app.work"')]
    assert sorted(arrived) == expected
    assert server.stats()["duplicates"] == 0
    if max_tasks < TASKS:  # children were really replaced
        assert len({line.split()[0] for line in ledger}) >= TASKS // (2 * max_tasks)
