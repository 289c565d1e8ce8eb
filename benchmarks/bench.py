"""A run: the sink, one process for each subject, and measurements in turns (A B C A B C ...)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sink.client import SinkClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
Samples = dict[str, list[dict[str, Any]]]
"""Of each subject, the answers of all rounds."""


class Worker:
    """The process of one subject, from the runner's side."""

    def __init__(self, subject: str, control_port: int) -> None:
        """Start it."""
        self.subject = subject
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", subject, str(control_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
        )

    def measure(self, row: str, measure: str = "measure", **args: Any) -> dict[str, Any]:
        """Run a measurement there and return its numbers."""
        self.order(row, measure, **args)
        return self.answer(f"{row}.{measure}")

    def order(self, row: str, measure: str, **args: Any) -> None:
        """Have a measurement begin."""
        order = json.dumps({"row": row, "measure": measure, "args": args}) + "\n"
        assert self._process.stdin
        self._process.stdin.write(order.encode())
        self._process.stdin.flush()

    def answer(self, what: str) -> dict[str, Any]:
        """Wait for the numbers of what was ordered."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.subject} ended in {what}, see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Bench:
    """The sink and the living subjects of a run; a context manager."""

    def __init__(self, *, quick: bool = False) -> None:
        """Start the sink."""
        self.quick = quick
        self._sink = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
        )
        assert self._sink.stdout
        self.control_port = int(self._sink.stdout.readline())
        self.sink = SinkClient(self.control_port)
        self._workers: dict[str, Worker] = {}

    def rounds(self, full: int, quick: int) -> int:
        """Choose a number by the length of the run."""
        return quick if self.quick else full

    def worker(self, subject: str) -> Worker:
        """Return the living process of a subject; it stays for the whole run."""
        if subject not in self._workers:
            self._workers[subject] = self.fresh(subject)
        return self._workers[subject]

    def fresh(self, subject: str) -> Worker:
        """Start another process of a subject; the caller closes it."""
        return Worker(subject, self.control_port)

    def pace(self, rounds: int, seconds: float) -> Iterator[int]:
        """Count rounds from 0, which only warms up; end early, but not before two that count.

        Args:
            rounds: that count, at most.
            seconds: after which no other round begins, so that a slow machine ends in time too.
        """
        end = time.monotonic() + seconds
        for number in range(rounds + 1):
            if number > 2 and time.monotonic() > end:
                return
            yield number

    def turns(
        self,
        subjects: Sequence[str],
        pace: Iterable[int],
        row: str,
        measure: str = "measure",
        **args: Any,
    ) -> Samples:
        """Measure all subjects in turns, round by round.

        An argument that is a dict has a value for each subject.
        """
        samples: Samples = {subject: [] for subject in subjects}
        for number in pace:
            for subject in subjects:
                own = {k: v[subject] if isinstance(v, dict) else v for k, v in args.items()}
                sample = self.worker(subject).measure(row, measure, **own)
                if number:
                    samples[subject].append(sample)
        return samples

    def fresh_turns(
        self,
        subjects: Sequence[str],
        pace: Iterable[int],
        row: str,
        measure: str = "measure",
        **args: Any,
    ) -> Samples:
        """Do as `turns`, in processes that end with the row."""
        with ExitStack() as stack:
            kept, self._workers = self._workers, {}
            try:
                return self.turns(subjects, pace, row, measure, **args)
            finally:
                for worker in self._workers.values():
                    stack.callback(worker.close)
                self._workers = kept

    def __enter__(self) -> Bench:  # noqa: PYI034 - typing.Self is not in 3.10
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self.sink.close()
        assert self._sink.stdin
        self._sink.stdin.close()
        try:
            self._sink.wait(5)
        except subprocess.TimeoutExpired:
            self._sink.kill()
            self._sink.wait()


def environment() -> dict[str, str]:
    """Make the environment of a measured process: this checkout, no proxy, nothing of Google's.

    And no setting of Python's: where PYTHONDONTWRITEBYTECODE is set forklog would be compiled at
    each start, which an installed package never is.
    """
    foreign = ("GOOGLE_", "OTEL_", "LOGGING_", "PYTHON")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONHASHSEED": "0",
    }
