"""How many records a second each subject delivers to a server that answers after 100 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.rows import delivery
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Latency: 100 ms for each answer of the server"
_CALLS = {"stock-grpc": 120, "otel": 5_000, "forklog": 100_000}
_OPTIONS = {name: {"block_timeout": 30.0} if name == "forklog" else {} for name in _CALLS}


def measure(room: Room, number: int, options: dict[str, Any]) -> dict[str, Any]:
    """In the subject's process: log so many records, wait until all has arrived."""
    return delivery.measure(room, number, {"delay": 0.1, **options})


def run(bench: Bench) -> Result:
    """Measure those that wait for an answer; judge the rate."""
    samples = bench.fresh_turns(
        tuple(_CALLS),
        bench.pace(bench.rounds(4, 1), 25),
        "latency",
        number=_CALLS,
        options=_OPTIONS,
    )
    rate = {n: figure([s["records"] / s["seconds"] for s in samples[n]]) for n in _CALLS}
    ours = rate["forklog"]
    line = Line(
        "records/s with 100 ms of latency",
        ">= 50,000/s",
        ours.text(",.0f"),
        ours.median >= 50_000,
    )
    heads = ["subject", "records/s", "records a request"]
    figures = [
        [
            LABELS[name],
            rate[name].text(",.0f"),
            f"{samples[name][-1]['sink_records'] / samples[name][-1]['sink_requests']:,.0f}",
        ]
        for name in _CALLS
    ]
    return Result(TITLE, [line], heads, figures, {"samples": samples})
