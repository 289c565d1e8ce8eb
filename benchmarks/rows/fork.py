"""`os.fork()` of a process whose pipeline is live, and the child's first record."""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.work import MESSAGE

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

__all__ = ["measure", "run"]

TITLE = "Fork: os.fork() in the parent, and the first record of the child, µs"
_STATES = ("imported", "live", "sending")
_LABELS = {
    "imported": "forklog imported, no handler",
    "live": "pipeline live, its thread asleep",
    "sending": "pipeline live, its thread sending",
}


def measure(room: Room, state: str, number: int) -> dict[str, Any]:
    """In a process of its own: so many forks in this state."""
    import forklog  # noqa: F401, PLC0415 - the same modules are loaded in all three states

    if state != "imported":
        subject = room.start(0.005 if state == "sending" else 0.0)
        subject.plain(100)
        subject.hurry()
    forks, firsts = [], []
    for _ in range(number):
        if state == "sending":
            subject.exception(3)
        took, first = _fork_once(room if state != "imported" else None)
        forks.append(took)
        firsts.append(first)
    return {"forks": forks, "firsts": firsts}


def _fork_once(room: Room | None) -> tuple[float, float]:
    """Return the microseconds of the fork in the parent and of the child's first log call."""
    reader, writer = os.pipe()
    begin = time.perf_counter_ns()
    pid = os.fork()
    took = time.perf_counter_ns() - begin
    if pid == 0:
        begin = time.perf_counter_ns()
        if room is not None:
            room.subject.logger.info(MESSAGE, "alice", 7, 0.25)
        first = time.perf_counter_ns() - begin
        is_accepted = room is None or room.subject.handler.stats().accepted == 1  # type: ignore[attr-defined]
        os.write(writer, struct.pack("q", first if is_accepted else -1))
        os._exit(0)
    (first,) = struct.unpack("q", os.read(reader, 8))
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    if first < 0:
        raise RuntimeError("the child's first record was not accepted")
    return took / 1000, first / 1000


def run(bench: Bench) -> Result:
    """Fork in turns in three processes; judge what the live pipeline adds."""
    workers = {state: bench.fresh("forklog") for state in _STATES}
    forks: dict[str, list[float]] = {state: [] for state in _STATES}
    firsts: dict[str, list[float]] = {state: [] for state in _STATES}
    for number in bench.pace(bench.rounds(12, 4), 15):
        for state, worker in workers.items():
            answer = worker.measure("fork", state=state, number=10)
            if number == 0:
                continue
            forks[state].append(figure(answer["forks"]).median)
            firsts[state] += answer["firsts"]
    for worker in workers.values():
        worker.close()
    added = figure([a - b for a, b in zip(forks["live"], forks["imported"], strict=True)])
    first = figure(firsts["live"])
    lines = [
        Line(
            "os.fork() with a live pipeline",
            "<= 50 µs more",
            f"{added.text('.0f')} µs",
            added.median <= 50,
        ),
        Line(
            "first record of the child", "<= 1 ms", f"{first.text('.0f')} µs", first.median <= 1000
        ),
    ]
    heads = ["state", "os.fork()", "first record of the child", "slowest of them"]
    figures = [
        [
            _LABELS[s],
            figure(forks[s]).text(".0f"),
            figure(firsts[s]).text(".0f"),
            f"{max(firsts[s]):.0f}",
        ]
        for s in _STATES
    ]
    figures[0][2:] = ["-", "-"]
    return Result(TITLE, lines, heads, figures, {"forks": forks, "firsts": firsts})
