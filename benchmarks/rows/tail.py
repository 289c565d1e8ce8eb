"""How long the slowest log calls of a storm take, while the pipeline sends."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS
from benchmarks.work import MESSAGE

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Tail: one call in a storm, µs"
_SUBJECTS = ("nothing", "queue", "stock-grpc", "stock-http", "otel", "logstash", "forklog")
_PEERS = ("stock-grpc", "stock-http", "otel", "logstash")


def measure(room: Room, seconds: float, most: int) -> dict[str, Any]:
    """In the subject's process: quantiles of the calls' wall time, in microseconds."""
    logger = room.start().logger
    clock, times = time.perf_counter_ns, array("q")
    keep = times.append
    end = clock() + int(seconds * 1e9)
    now = clock()
    while now < end and len(times) < most:
        logger.info(MESSAGE, "alice", 7, 0.25)
        then, now = now, clock()
        keep(now - then)
    lost = room.subject.dropped()
    room.settle(len(times) - lost)
    ordered = sorted(times)
    count = len(ordered)
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    quantiles = {name: ordered[int(count * q)] / 1000 for name, q in at.items()}
    return {**quantiles, "max": ordered[-1] / 1000, "calls": count, "dropped": lost}


def run(bench: Bench) -> Result:
    """Storm for a while with each; judge the p99.9."""
    samples = bench.turns(
        _SUBJECTS,
        bench.pace(bench.rounds(5, 2), 40),
        "tail",
        seconds=0.4,
        most=bench.rounds(60_000, 20_000),
    )
    at = {name: [s["p99.9"] for s in samples[name]] for name in _SUBJECTS}
    best = min(_PEERS, key=lambda name: figure(at[name]).median)
    ours, theirs = figure(at["forklog"]).median, figure(at[best]).median
    text = f"{ours:,.0f} µs against {theirs:,.0f} µs of {LABELS[best]}"
    line = Line("tail, p99.9", "below every peer's", text, ours < theirs)
    heads = ["subject", "p50", "p99", "p99.9", "max", "calls in the storm"]
    figures = [
        [
            LABELS[name],
            *(
                figure([s[key] for s in samples[name]]).text(",.1f")
                for key in ("p50", "p99", "p99.9", "max")
            ),
            f"{figure([s['calls'] for s in samples[name]]).median:,.0f}",
        ]
        for name in _SUBJECTS
    ]
    note = "loguru is left out: its call is not one of `logging`, and its median is above 50 µs."
    return Result(TITLE, [line], heads, figures, {"samples": samples}, note)
