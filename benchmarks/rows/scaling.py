"""How forklog's cost a record changes with depth, batch, threads, workers and entry size."""

from __future__ import annotations

import itertools
import os
import resource
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.rows import delivery
from benchmarks.rows.threads import log_in_threads

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Scaling: forklog's cost a record, µs"
CURVES = {
    "depth": ("entries that wait already", (2_000, 20_000, 200_000)),
    "batch": ("entries a request", (10, 100, 1_000, 10_000)),
    "threads": ("threads", (1, 2, 4, 8, 16)),
    "workers": ("workers", (1, 2, 4, 8)),
    "size": ("bytes of the message", (100, 1_000, 10_000, 100_000)),
}
_GROWTH = 1.5  # noise allowed from one point to the next


def depth(room: Room, value: int, number: int) -> dict[str, Any]:
    """Call with so many entries waiting behind a server that does not answer."""
    number //= 20  # they stay, so they must be few beside those that wait
    subject = room.start(3600.0, max_buffer_bytes=2**30)
    subject.plain(1_000)
    while (waiting := subject.handler.stats().pending) < value:  # type: ignore[attr-defined]
        subject.plain(value - waiting)
    begin = time.perf_counter()
    subject.plain(number)
    return {"call": 1e6 * (time.perf_counter() - begin) / number}


def batch(room: Room, value: int, number: int) -> dict[str, Any]:
    """Deliver in batches of at most so many entries."""
    options = {"max_batch_entries": value, "block_timeout": 30.0}
    return _cost(delivery.measure(room, number, options))


def threads(room: Room, value: int, number: int) -> dict[str, Any]:
    """Call from so many threads; the time is that of all calls, divided by their number."""
    room.start()
    seconds = log_in_threads(room, value, number)
    room.settle(number // value * value)
    return {"call": 1e6 * seconds / number}


def size(room: Room, value: int, number: int) -> dict[str, Any]:
    """Deliver messages of so many bytes."""
    subject = room.start(block_timeout=30.0)
    number = max(200, min(number, 20_000_000 // value))
    busy, begin = _cpu(), time.perf_counter()
    subject.sized(number, value)
    call = 1e6 * (time.perf_counter() - begin) / number
    room.settle(number)
    return {"call": call, "cpu": 1e6 * (_cpu() - busy) / number}


def workers(room: Room, value: int, number: int) -> dict[str, Any]:
    """Fork so many children that log at the same time; add up their CPU time."""
    subject = room.start()
    subject.plain(100)
    room.settle(100)
    reader, writer = os.pipe()
    before = _cpu(resource.RUSAGE_CHILDREN)
    children = [_fork_worker(subject, reader, writer, number) for _ in range(value)]
    begin = time.perf_counter()
    os.close(writer)  # the last writer's end is the starting gun
    for child in children:
        os.waitpid(child, 0)
    seconds = time.perf_counter() - begin
    os.close(reader)
    assert room.door
    room.door.expected += number * value
    arrived = room.door.wait(5.0)["records"]
    assert arrived == room.door.expected, f"{arrived} of {room.door.expected} arrived"
    busy = _cpu(resource.RUSAGE_CHILDREN) - before
    return {"cpu": 1e6 * busy / (number * value), "rate": number * value / seconds}


def _fork_worker(subject: Any, reader: int, writer: int, number: int) -> int:
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        subject.plain(number)
        os._exit(0 if subject.handler.flush(60.0) else 1)
    return child


def _cpu(who: int = resource.RUSAGE_SELF) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _cost(sample: dict[str, Any]) -> dict[str, Any]:
    return {"cpu": 1e6 * sample["cpu"] / sample["records"]}


def run(bench: Bench) -> Result:
    """Measure each curve in turns over its points."""
    data: dict[str, dict[int, list[dict[str, Any]]]] = {}
    number = bench.rounds(20_000, 5_000)
    for curve, (_, points) in CURVES.items():
        rooms = {point: bench.fresh("forklog") for point in points}
        data[curve] = {point: [] for point in points}
        for turn in bench.pace(bench.rounds(5, 2), 16):
            for point, worker in rooms.items():
                sample = worker.measure("scaling", curve, value=point, number=number)
                if turn:
                    data[curve][point].append(sample)
        for worker in rooms.values():
            worker.close()
    figures, lines = [], []
    for curve, (axis, points) in CURVES.items():
        for key in data[curve][points[0]][0]:
            values = [figure([s[key] for s in data[curve][point]]) for point in points]
            form = ",.0f" if key == "rate" else ".2f"
            figures += [
                [axis, f"{point:,}", _KEYS[key], value.text(form)]
                for point, value in zip(points, values, strict=True)
            ]
        lines.append(_judge(curve, axis, points, data[curve]))
    heads = ["against", "at", "what", "measured"]
    return Result(TITLE, lines, heads, figures, {"curves": data})


_KEYS = {"call": "µs a call", "cpu": "CPU µs a record", "rate": "records/s of all"}


def _judge(
    curve: str, axis: str, points: tuple[int, ...], samples: dict[int, list[dict[str, Any]]]
) -> Line:
    """Hold that a cost a record does not grow along the curve; for sizes, a cost a byte."""
    key = "cpu" if "cpu" in samples[points[0]][0] else "call"
    values = [figure([s[key] for s in samples[point]]).median for point in points]
    if curve == "size":
        values = [value / point for value, point in zip(values, points, strict=True)]
    growth = max(after / before for before, after in itertools.pairwise(values))
    text = f"{values[-1] / values[0]:.2f} x from {points[0]:,} to {points[-1]:,}"
    unit = "byte" if curve == "size" else "record"
    return Line(f"scaling: cost a {unit}, {axis}", "not super-linear", text, growth <= _GROWTH)
