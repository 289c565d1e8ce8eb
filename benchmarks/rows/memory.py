"""How many bytes a queued record takes in a process whose records cannot leave."""

from __future__ import annotations

import gc
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Memory: bytes of a queued record, while the server does not answer"
_CALLS = {"stock-grpc": 30_000, "stock-http": 30_000, "otel": 30_000, "forklog": 150_000}
_SIZES = (100, 1_000)
_ROOM = {"max_buffer_bytes": 2**30}


def measure(room: Room, number: int, size: int) -> dict[str, Any]:
    """In a process of its own: the growth of its resident memory, divided by the records."""
    options = _ROOM if room.name == "forklog" else {}
    subject = room.start(3600.0, **options)
    subject.sized(2_000, size)
    gc.collect()
    before = _resident()
    subject.sized(number, size)
    gc.collect()
    grown = _resident() - before
    answer = {"bytes": grown / number}
    if room.name == "forklog":
        stats = subject.handler.stats()  # type: ignore[attr-defined]
        answer["wire"] = stats.pending_bytes / stats.pending
    return answer


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def run(bench: Bench) -> Result:
    """Fill each subject's queue in a process of its own."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for size in _SIZES:
        for name, number in _CALLS.items():
            worker = bench.fresh(name)
            calls = number // bench.rounds(1, 2) // (1 + (size > 500))
            found[name, size] = worker.measure("memory", number=calls, size=size)
            worker.close()
    lines = []
    for size in _SIZES:
        ours = found["forklog", size]
        most = 1.25 * ours["wire"] + 100
        text = f"{ours['bytes']:,.0f} for {ours['wire']:,.0f} of wire (limit {most:,.0f})"
        what = f"memory, message of {size:,} B"
        lines.append(Line(what, "<= 1.25 x wire + 100 B", text, ours["bytes"] <= most))
    heads = ["subject", *(f"message of {size:,} B" for size in _SIZES)]
    figures = [
        [LABELS[name], *(f"{found[name, size]['bytes']:,.0f}" for size in _SIZES)]
        for name in _CALLS
    ]
    data = {f"{name}, {size}": answer for (name, size), answer in found.items()}
    return Result(TITLE, lines, heads, figures, data)
