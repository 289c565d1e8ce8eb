"""Ends of celery beside the warm shutdown of its prefork pool, and its other pools.

The class of faults: an end that was never tried. `max_latency` outlives the test, so that what a
process has pending can only arrive by a hook at its end. A worker that is killed loses it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until
from redis_server import PROGRAM, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator.process import Emulator

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(PROGRAM is None, reason="celery cannot poll a broker of files"),
]
APPS = Path(__file__).parent / "apps"
PATIENCE = 60
LONG = 40
"""Seconds that a task takes if nothing ends it; a worker that waits for it fails its test."""
END = 30


class Worker:
    """A running celery worker with one process, thread or greenlet for tasks."""

    def __init__(self, emulator: Emulator, folder: Path, port: int) -> None:
        """Take the emulator to send to, a folder, and the port of Redis."""
        self.emulator = emulator
        self.folder = folder
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self._environ = {
            **os.environ,
            "ENDS_BROKER": f"redis://127.0.0.1:{port}/0",
            "ENDS_LEDGER": str(self.ledger),
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, tasks: int = 1, hold: float = 1, **environ: str) -> None:
        """Send so many tasks that take so long, then start the worker."""
        self._environ |= environ
        send = [str(APPS / "celery_ends.py"), str(tasks), str(hold)]
        subprocess.run([sys.executable, *send], env=self._environ, check=True, timeout=PATIENCE)
        self.begin("worker", "--concurrency=1", "--without-gossip", "--without-mingle", *options)

    def begin(self, *command: str, **environ: str) -> None:
        """Start a command of celery's."""
        self._environ |= environ
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "celery_ends", *command],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return all that was printed so far."""
        return (self.folder / "output").read_text(errors="replace")

    def logged(self, what: str = "") -> Counter[str]:
        """Return the records in the ledger, of one kind if named."""
        return Counter(line for line in self.ledger.read_text().split() if what in line)

    def wait_for(self, what: str, count: int = 1) -> None:
        """Wait until the tasks have logged so many records of a kind."""
        wait_until(lambda: self.logged(what).total() >= count, PATIENCE, self.output())

    def send(self, number: signal.Signals, answer: str = "") -> None:
        """Signal the main process, and wait until it prints an answer."""
        assert self._process is not None
        self._process.send_signal(number)
        wait_until(lambda: answer in self.output(), PATIENCE, answer)

    def join(self) -> None:
        """Wait until the worker has ended."""
        assert self._process is not None
        self._process.wait(END)

    def has_delivered(self) -> bool:
        """Tell whether all that is in the ledger has arrived."""
        return self._arrived() == self.logged()

    def check_end(self) -> None:
        """Check that the worker ends, and that each record in the ledger arrives once."""
        self.join()
        with contextlib.suppress(AssertionError):
            wait_until(self.has_delivered, 10)
        assert self._arrived() == self.logged(), self.output()
        assert self.emulator.duplicates() == []

    def _arrived(self) -> Counter[str]:
        return Counter(str(entry["textPayload"]) for entry in self.emulator.entries())

    def kill(self) -> None:
        """Kill all of its processes."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def worker(emulator: Emulator, tmp_path: Path) -> Iterator[Worker]:
    """Return a worker, to be started; all of its processes are killed in the end."""
    with redis_server() as port:
        running = Worker(emulator, tmp_path, port)
        yield running
        running.kill()


def _quit(worker: Worker) -> None:
    worker.send(signal.SIGQUIT)


def _quit_after_term(worker: Worker) -> None:
    worker.send(signal.SIGTERM, "Warm shutdown")
    worker.send(signal.SIGQUIT)


def _interrupt_twice(worker: Worker) -> None:
    worker.send(signal.SIGINT, "Hitting Ctrl+C again will initiate cold shutdown")
    worker.send(signal.SIGINT)


@pytest.mark.parametrize("end", [_quit, _quit_after_term, _interrupt_twice])
def test_a_cold_shutdown(worker: Worker, end: Callable[[Worker], None]) -> None:
    """What a task has logged that a cold shutdown ends is delivered by its child."""
    worker.start(hold=LONG)
    worker.wait_for("begin")
    end(worker)
    worker.check_end()
    assert not worker.logged("end")


@pytest.mark.parametrize(("seconds", "hold"), [(4, 1.5), (1, LONG)], ids=["in time", "too late"])
def test_a_soft_shutdown(worker: Worker, seconds: float, hold: float) -> None:
    """A task that ends within the time of a soft shutdown delivers, and so does one that is ended.

    celery has it from version 5.5 on.
    """
    worker.start(hold=hold, ENDS_SOFT=str(seconds))
    worker.wait_for("begin")
    worker.send(signal.SIGQUIT)
    worker.check_end()
    assert worker.logged("end").total() == (hold < LONG)


def test_children_that_use_too_much_memory(worker: Worker) -> None:
    """Children that --max-memory-per-child replaces deliver at their ends."""
    worker.start("--max-memory-per-child=1", tasks=2, hold=0)  # in KiB: each task ends its child
    worker.wait_for("end", 2)
    worker.send(signal.SIGTERM)
    worker.check_end()
    assert len({line.split("-")[1] for line in worker.logged("first")}) == 2, "children"


@pytest.mark.parametrize("pool", ["solo", "threads", "gevent", "eventlet"])
def test_other_pools(worker: Worker, pool: str) -> None:
    """At TERM the task ends, and the exit of the only process delivers."""
    if pool in {"gevent", "eventlet"} and importlib.util.find_spec(pool) is None:
        pytest.skip(f"{pool} is not installed")
    worker.start(f"--pool={pool}", hold=1)
    worker.wait_for("begin")
    worker.send(signal.SIGTERM)
    worker.check_end()
    assert worker.logged("end")


def test_beat(worker: Worker) -> None:
    """At TERM `celery beat` ends as a program does, and its exit delivers."""
    worker.begin("beat")
    worker.wait_for("beat", 2)
    worker.send(signal.SIGTERM)
    worker.check_end()


def test_beat_in_a_worker(worker: Worker, tmp_path: Path) -> None:
    """`celery worker -B` ends beat's process by SIGTERM, without a hook; a spool keeps its records.

    The worker's main process sends what it finds there, or the next process that starts.
    """
    spool = str(tmp_path / "spool")
    worker.start("-B", hold=0, ENDS_SPOOL=spool)
    worker.wait_for("beat", 2)
    worker.wait_for("end")
    worker.send(signal.SIGTERM)
    worker.join()
    worker.start(hold=0)
    worker.wait_for("end", 2)
    worker.send(signal.SIGTERM)
    worker.check_end()


def test_beat_in_a_worker_without_a_spool(worker: Worker) -> None:
    """The flush thread of beat's process sends all that is older than `max_latency`."""
    worker.start("-B", hold=0, ENDS_LATENCY="0.2")
    worker.wait_for("beat", 2)
    worker.wait_for("end")
    wait_until(worker.has_delivered, PATIENCE, worker.output())
    worker.send(signal.SIGTERM)
    worker.check_end()
