"""How many log calls a second eight threads make at the same time, beside one thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS, SUBJECTS

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Threads: eight of them, one process"
_CALLS = 8000
_DELIVERING = ("stock-grpc", "stock-http", "otel", "loguru", "logstash")


def measure(room: Room, number: int) -> dict[str, Any]:
    """In the subject's process: seconds of so many calls by one thread and by eight."""
    room.start()
    one = log_in_threads(room, 1, number)
    room.settle(number)
    eight = log_in_threads(room, 8, number)
    room.settle(number)
    return {"one": one, "eight": eight}


def log_in_threads(room: Room, threads: int, number: int) -> float:
    """Log `number` records in all; return the seconds from the first call to the last."""
    log, barrier = room.subject.variant("plain"), threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        log(number // threads)

    team = [threading.Thread(target=work) for _ in range(threads)]
    for thread in team:
        thread.start()
    begin = time.perf_counter()
    barrier.wait()
    for thread in team:
        thread.join()
    return time.perf_counter() - begin


def run(bench: Bench) -> Result:
    """Measure one thread and eight in the same turn; judge the throughput."""
    subjects = tuple(name for name in SUBJECTS if name != "bare")
    samples = bench.turns(subjects, bench.pace(bench.rounds(6, 2), 45), "threads", number=_CALLS)
    one = {name: [_CALLS / s["one"] for s in samples[name]] for name in subjects}
    eight = {name: [_CALLS / s["eight"] for s in samples[name]] for name in subjects}
    kept = ratios(eight["forklog"], one["forklog"])
    best = max(_DELIVERING, key=lambda name: figure(eight[name]).median)
    lead = ratios(eight["forklog"], eight[best])
    lines = [
        Line("8 threads", ">= 0.8 x one thread", f"{kept.text()} x", kept.median >= 0.8),
        Line(
            "8 threads",
            "cheapest of all that deliver",
            f"{lead.text()} x the calls/s of {LABELS[best]}",
            lead.median > 1,
        ),
    ]
    heads = ["subject", "calls/s, one thread", "calls/s, eight threads", "eight / one"]
    figures = [
        [
            LABELS[name],
            figure(one[name]).text(",.0f"),
            figure(eight[name]).text(",.0f"),
            ratios(eight[name], one[name]).text(),
        ]
        for name in subjects
    ]
    return Result(TITLE, lines, heads, figures, {"samples": samples})
