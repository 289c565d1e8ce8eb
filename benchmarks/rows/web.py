"""How many requests a second uWSGI serves with an application that logs ten records in each."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT
from benchmarks.load import driver, requests_per_second
from benchmarks.processes import cpu_seconds
from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS
from benchmarks.subjects.wires import WIRES
from forklog.demo.server import Server

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "uWSGI: ten records a request, two workers"
_SUBJECTS = {
    "nothing": "prefork",
    "bare": "lazy",
    "forklog": "prefork",
    "stock-grpc": "lazy",
    "stock-http": "lazy",
}
_INI = ROOT / "benchmarks" / "apps" / "web" / "uwsgi.ini"


def run(bench: Bench) -> Result:
    """Load each server in turns; judge the requests a second."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in _SUBJECTS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in bench.pace(bench.rounds(4, 1), 100):
            for name, mode in _SUBJECTS.items():  # each server warms up by itself
                sample = serve(bench, name, Path(folder), is_lazy=mode == "lazy")
                samples[name].append(sample)
    rate = {n: [s["rate"] for s in samples[n]] for n in _SUBJECTS}
    kept = ratios(rate["forklog"], rate["nothing"])
    stock = max(("stock-grpc", "stock-http"), key=lambda n: figure(rate[n]).median)
    lead = ratios(rate["forklog"], rate[stock])
    lines = [
        Line("uWSGI requests/s", ">= 0.80 x do-nothing", f"{kept.text()} x", kept.median >= 0.8),
        Line(
            "uWSGI requests/s", ">= 1.5 x stock, lazy-apps", f"{lead.text()} x", lead.median >= 1.5
        ),
    ]
    heads = [
        "subject",
        "mode",
        "requests/s",
        "CPU of the server a request, µs",
        "delivered at the end",
    ]
    figures = [
        [
            LABELS[n],
            "lazy-apps" if mode == "lazy" else mode,
            figure(rate[n]).text(",.0f"),
            figure([1e6 * s["cpu"] for s in samples[n]]).text(",.0f"),
            _share(samples[n]),
        ]
        for n, mode in _SUBJECTS.items()
    ]
    return Result(TITLE, lines, heads, figures, {"samples": samples}, f"Load by {driver()}.")


def serve(bench: Bench, name: str, folder: Path, *, is_lazy: bool) -> dict[str, Any]:
    """Start a server, warm it up, load it; see what had arrived when the load ended."""
    door = bench.sink.open(WIRES[name]) if name in WIRES else None
    environ = {
        "BENCH_SUBJECT": name,
        "BENCH_PORT": str(door.port if door else 0),
        "PYTHONPATH": str(ROOT),
    }
    options = ["--lazy-apps"] if is_lazy else []
    with Server.start(_INI, folder, environ=environ, options=options) as server:
        server.wait_ready(2, 2 if is_lazy else 1)
        requests_per_second(server.url, 8, 1)
        time.sleep(0.5)  # forklog has sent all of the warm-up then
        before = door.counts()["records"] if door else 0
        seconds, busy = 3, sum(map(cpu_seconds, server.group()))
        rate = requests_per_second(server.url, 8, seconds)
        busy = sum(map(cpu_seconds, server.group())) - busy
        arrived = door.counts()["records"] - before if door else 0
    if door:
        door.close()
    logged = 10 * rate * seconds
    return {"rate": rate, "cpu": busy / (rate * seconds), "logged": logged, "arrived": arrived}


def _share(samples: list[dict[str, Any]]) -> str:
    if not any(s["arrived"] for s in samples):
        return "-"
    return f"{100 * figure([s['arrived'] / s['logged'] for s in samples]).median:.0f} %"
