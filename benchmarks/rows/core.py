"""What a compiled core would give: the plain call in C, beside forklog; only where asked for.

It needs a C compiler and Python's headers.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compiled import build
from benchmarks.ratio import figure, ratios
from benchmarks.result import Result
from benchmarks.rows.web import serve
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "A compiled core: a plain call, and uWSGI with ten records a request, two workers"
_SUBJECTS = ("nothing", "straight", "compiled", "forklog")
_SERVED = ("nothing", "compiled", "forklog")


def run(bench: Bench) -> Result:
    """Build the prototype; measure the call, then the server, each in turns."""
    served: dict[str, list[dict[str, Any]]] = {name: [] for name in _SERVED}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_CORE"] = str(build(Path(folder)))
        pace = bench.pace(bench.rounds(48, 3), 60)
        calls = bench.fresh_turns(_SUBJECTS, pace, "caller", variant="plain", number=150, bursts=6)
        for _ in bench.pace(bench.rounds(8, 1), 180):
            for name in _SERVED:
                served[name].append(serve(bench, name, Path(folder), is_lazy=False))
    cpu = {name: [statistics.median(s["cpu"]) for s in calls[name]] for name in _SUBJECTS}
    rates = {name: [s["rate"] for s in served[name]] for name in _SERVED}
    heads = ["subject", "CPU of a call, µs", "x do-nothing", "requests/s", "x do-nothing"]
    figures = [
        [*_cells(name, cpu, 1e-3, ".2f"), *_cells(name, rates, 1, ",.0f")[1:]] for name in _SUBJECTS
    ]
    return Result(TITLE, [], heads, figures, {"calls": calls, "served": served})


def _cells(name: str, all_of: dict[str, list[float]], scale: float, form: str) -> list[str]:
    if name not in all_of:
        return [LABELS[name], "-", "-"]
    values = figure([scale * value for value in all_of[name]]).text(form)
    return [LABELS[name], values, ratios(all_of[name], all_of["nothing"]).text()]
