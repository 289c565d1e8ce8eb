"""celery prefork: its children end by os._exit, and only its own signal runs before.

What was logged is known from the console, which every process of the example writes to as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import python_path, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

TASKS = 12
LIMIT = 4
PATIENCE = 50
SHUTDOWN = 2.0
CELERYS_OWN = 15.0
"""Seconds of celery's own for a warm shutdown; it takes seven on a busy machine."""
HERE = Path(__file__).parent / "apps"
EXAMPLE = HERE.parents[2] / "examples" / "celery"

# celery gives billiard's logger a handler of its own, and no way to the root.
_LINE = re.compile(r"^\d+ (?!multiprocessing)([\w.]+): (.*)$", re.MULTILINE)


class Worker:
    """A running celery worker of the example; it leads a process group of its own."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator to send to and a folder for broker and console."""
        self.emulator = emulator
        self.console = folder / "console"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, app: str, *options: str, sends: int = TASKS, **environ: str) -> None:
        """Send so many tasks, then start the worker.

        kombu's broker of files lets a worker that runs read a task that is half written.
        """
        environment = {
            **os.environ,
            "EXAMPLE_BROKER": str(self._folder / "broker"),
            "GOOGLE_CLOUD_PROJECT": "celery-tests",
            "LOGGING_EMULATOR_HOST": self.emulator.host,
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), str(EXAMPLE), python_path()]),
            **environ,
        }
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel=INFO"]
        command += ["--include=celery_calm", *options]
        script = next(f for f in (EXAMPLE / f"{app}.py", HERE / f"{app}.py") if f.exists())
        send = [sys.executable, str(script), str(sends)]
        subprocess.run(
            send,
            cwd=self._folder,
            env=environment,
            check=True,
            timeout=PATIENCE,
            capture_output=True,
        )
        with self.console.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The PID of the main process."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """Return all that was printed so far."""
        return self.console.read_text(errors="replace")

    def wait_for_tasks(self, count: int = TASKS) -> Counter[str]:
        """Wait until so many tasks were done; return how many by the child of which PID."""
        wait_until(lambda: len(self._done()) >= count, PATIENCE, self.output())
        return Counter(self._done())

    def _done(self) -> list[str]:
        return re.findall(
            r"^(\d+) celery.app.trace: Task .* succeeded", self.output(), re.MULTILINE
        )

    def end(self, births: int) -> None:
        """Have the worker shut down warmly, and wait until it has; show its stacks if it hangs.

        The signal comes when it has brought up so many children, its last.
        """
        assert self._process is not None
        born = re.compile(r"^child \d+ is up$", re.MULTILINE)
        wait_until(lambda: len(born.findall(self.output())) >= births, PATIENCE, self.output())
        os.kill(self.pid, signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGABRT)
            self._process.wait(PATIENCE)
            pytest.fail(f"no end within {PATIENCE} s\n{self.output()}")

    def kill(self) -> None:
        """Kill all of its processes."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def logged(self) -> Counter[tuple[str, str]]:
        """Return logger and text of each record, by the console."""
        return Counter(_LINE.findall(self.output()))

    def arrived(self) -> Counter[tuple[str, str]]:
        """Return the same of what arrived."""
        return Counter(map(_name, self.emulator.entries()))

    def last_resort(self) -> Counter[tuple[str, str]]:
        """Return the same of what was given up and written to stderr."""
        lines = re.findall(r'^\{"insertId".*', self.output(), re.MULTILINE)
        return Counter(_name(json.loads(line)) for line in lines)

    def check(self) -> None:
        """Check that all that was logged arrives, once, and nothing else."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.logged() - self.arrived(), 20)
        logged, arrived = self.logged(), self.arrived()
        assert not logged - arrived, f"lost: {logged - arrived}\n{self.output()}"
        assert not arrived - logged, f"too many: {arrived - logged}\n{self.output()}"
        assert self.emulator.duplicates() == []


def _name(entry: dict[str, object]) -> tuple[str, str]:
    labels = entry["labels"]
    assert isinstance(labels, dict)
    return labels["python_logger"], str(entry.get("textPayload")).partition("\n")[0]


@pytest.fixture
def worker(emulator: Emulator, tmp_path: Path) -> Iterator[Worker]:
    """Return a worker, to be started; all of its processes are killed in the end."""
    running = Worker(emulator, tmp_path)
    yield running
    running.kill()


@pytest.mark.parametrize("way", few(["setup_logging", "after_setup_logger"], "after_setup_logger"))
def test_every_record_arrives_once(worker: Worker, way: str) -> None:
    """By celery's last signal in children, by atexit in the main process; max_latency is far."""
    options = ("--concurrency=2", f"--max-tasks-per-child={LIMIT}")
    worker.start("app", *options, EXAMPLE_LOGGING=way, EXAMPLE_MAX_LATENCY="60")
    children = worker.wait_for_tasks()
    worker.end(2 + list(children.values()).count(LIMIT))
    worker.check()
    loggers = {logger for logger, _ in worker.arrived()}
    assert {"celery.worker.strategy", "celery.app.trace", "shop"} <= loggers
    assert len(children) >= TASKS // LIMIT
    tasks = worker.emulator.entries('labels.python_logger="shop"')
    assert len({entry["labels"]["id"] for entry in tasks}) == TASKS
    assert {entry["labels"]["task"] for entry in tasks} == {"app.work"}


def test_a_child_that_holds_billiards_lock_lets_go_of_it(worker: Worker) -> None:
    """No SIGTERM of its parent's is taken by our thread while billiard has blocked it.

    Else the lock stays locked when the child has gone, and every other process waits for it.
    """
    worker.start("celery_lock", "--concurrency=1", f"--max-tasks-per-child={LIMIT}")
    assert len(worker.wait_for_tasks()) == TASKS // LIMIT
    worker.end(1 + TASKS // LIMIT)
    worker.check()


def test_a_child_that_is_killed(worker: Worker) -> None:
    """Kill -9 loses what the child had pending, at most max_latency's worth, and nothing else."""
    environ = {"EXAMPLE_LOGGING": "dictConfig", "EXAMPLE_MAX_LATENCY": "60"}
    worker.start("celery_app", "--concurrency=2", **environ)
    worker.wait_for_tasks()
    wait_until(lambda: "WorkerLostError" in worker.output(), PATIENCE, worker.output())
    worker.end(3)
    logged, arrived = worker.logged(), worker.arrived()
    assert logged["shop", "delivered before the kill"] == 1
    assert set(logged - arrived) == {("shop", "at risk")}, worker.output()
    assert not arrived - logged
    assert worker.emulator.duplicates() == []


@pytest.mark.long
def test_a_dead_server_holds_up_no_end(worker: Worker) -> None:
    """Children and main process each end within shutdown_timeout, and say what was lost.

    That does not come back as a record, although celery redirects stderr to a logger here.
    """
    worker.emulator.fault("hang")
    environ = {
        "EXAMPLE_LOGGING": "after_setup_logger",
        "EXAMPLE_SHUTDOWN_TIMEOUT": str(SHUTDOWN),
    }
    worker.start("app", "--concurrency=2", **environ)
    worker.wait_for_tasks()
    before = time.monotonic()
    worker.end(2)
    assert time.monotonic() - before < 2 * (SHUTDOWN + 1) + CELERYS_OWN
    assert not worker.logged() - worker.last_resort(), worker.output()
    assert not worker.last_resort() - worker.logged(), worker.output()
