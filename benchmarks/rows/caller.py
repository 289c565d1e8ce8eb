"""What one log call costs the thread that makes it, while the pipeline lives."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS, SUBJECTS

if TYPE_CHECKING:
    from benchmarks.bench import Bench, Samples
    from benchmarks.worker import Room

TITLE = "Caller: one thread, pipeline live"
# "bare" delivers plain records only; "straight" has functions for plain ones and for fields.
_THEIRS = tuple(name for name in SUBJECTS if name != "bare")
_VARIANTS = {
    "plain": SUBJECTS,
    "fields": _THEIRS,
    "exception": tuple(name for name in _THEIRS if name != "straight"),
    # The others deliver no trace; the do-nothing handler is the floor.
    "trace": ("nothing", "stock-grpc", "stock-http", "otel", "forklog"),
}
_WHAT = {
    "fields": "caller, `extra=` fields and labels",
    "exception": "caller, exception",
    "trace": "caller, trace context",
}
# On a machine of two speeds twelve ratios say as much about it: the narrow ones get more rounds.
_NARROW = ("nothing", "queue", "forklog")
_WARM = 50


def measure(room: Room, variant: str, number: int, bursts: int) -> dict[str, Any]:
    """In the subject's process: nanoseconds of one call, for each burst."""
    room.start()
    log, clock = room.subject.variant(variant), time.perf_counter_ns
    wall, cpu = [], []
    log(_WARM)
    for _ in range(bursts):
        busy, begin = time.thread_time_ns(), clock()
        log(number)
        wall.append((clock() - begin) / number)
        cpu.append((time.thread_time_ns() - busy) / number)
    room.settle(_WARM + number * bursts)
    return {"wall": wall, "cpu": cpu}


def run(bench: Bench) -> Result:
    """Measure all variants; judge each by the calls' wall time."""
    lines, figures, data = [], [], {}
    for variant, subjects in _VARIANTS.items():
        pace = bench.pace(bench.rounds(12, 3), 28)
        samples = bench.turns(subjects, pace, "caller", variant=variant, number=150, bursts=6)
        data[variant] = samples
        wall = _medians(samples)
        if variant == "plain":
            pace = bench.pace(bench.rounds(48, 3), 40)
            narrow = bench.turns(_NARROW, pace, "caller", variant=variant, number=150, bursts=3)
            lines += _judge_plain(wall, _medians(narrow))
        else:
            lines.append(_judge_cheapest(variant, wall))
        if variant == "exception":
            floor = ratios(wall["forklog"], wall["nothing"])
            text = f"{floor.text()} x"
            lines.append(Line(_WHAT[variant], "<= 2.5 x do-nothing", text, floor.median <= 2.5))
        figures += [_figures(variant, name, samples, wall) for name in subjects]
    heads = ["call", "subject", "wall, µs", "x do-nothing", "CPU of the thread, µs"]
    data["plain, narrow"] = narrow
    telling = _telling(_medians(data["plain"]), _medians(narrow))
    return Result(TITLE, lines, heads, figures, data, telling=telling)


def _medians(samples: Samples) -> dict[str, list[float]]:
    """Return the wall time of a call for each subject and round."""
    return {name: [statistics.median(s["wall"]) for s in found] for name, found in samples.items()}


def _telling(wall: dict[str, list[float]], narrow: dict[str, list[float]]) -> str:
    """Say what a plain call costs beside the others."""
    floor, queue = (ratios(narrow["forklog"], narrow[n]).median for n in ("nothing", "queue"))
    stock = ratios(wall["forklog"], wall["stock-grpc"]).median
    return (
        f"A log call takes {floor:.1f} times as long as with a handler that does nothing, "
        f"{queue:.1f} times `QueueHandler`'s, and 1/{1 / stock:.0f} of the stock handler's."
    )


def _judge_plain(wall: dict[str, list[float]], narrow: dict[str, list[float]]) -> list[Line]:
    nothing, queue = (ratios(narrow["forklog"], narrow[name]) for name in ("nothing", "queue"))
    stock = max(
        (ratios(wall["forklog"], wall[n]) for n in ("stock-grpc", "stock-http")),
        key=lambda one: one.median,
    )
    return [
        Line("caller", "<= 1.40 x do-nothing", f"{nothing.text()} x", nothing.median <= 1.4),
        Line("caller", "<= 0.75 x QueueHandler", f"{queue.text()} x", queue.median <= 0.75),
        Line("caller", "<= 0.3 x stock", f"{stock.text()} x", stock.median <= 0.3),
    ]


def _judge_cheapest(variant: str, wall: dict[str, list[float]]) -> Line:
    peers = [name for name in _carriers(variant) if name in wall]
    cheapest = min(peers, key=lambda name: statistics.median(wall[name]))
    ratio = ratios(wall["forklog"], wall[cheapest])
    text = f"{ratio.text()} x {LABELS[cheapest]}"
    return Line(_WHAT[variant], "cheapest that delivers it", text, ratio.median < 1)


def _carriers(variant: str) -> tuple[str, ...]:
    stock = ("stock-grpc", "stock-http", "otel")
    return stock if variant == "trace" else (*stock, "loguru", "logstash")


def _figures(variant: str, name: str, samples: Samples, wall: dict[str, list[float]]) -> list[str]:
    cpu = figure([statistics.median(s["cpu"]) / 1000 for s in samples[name]])
    us = figure([value / 1000 for value in wall[name]])
    floor = ratios(wall[name], wall["nothing"])
    return [variant, LABELS[name], us.text(), floor.text(), cpu.text()]
