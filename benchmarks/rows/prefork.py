"""What uWSGI's lazy-apps costs: start-up time and memory of four workers with Django."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT
from benchmarks.processes import cpu_seconds, pss_kib
from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from benchmarks.subjects.wires import WIRES
from forklog.demo.load import ask
from forklog.demo.server import Server

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "Prefork against lazy-apps: Django under uWSGI, four workers"
_WORKERS = 4
_APPS = {"hello": "hello world", "shop": "larger app"}
_WAYS = {
    "prefork, forklog": ("forklog", False),
    "lazy-apps, forklog": ("forklog", True),
    "lazy-apps, stock": ("stock-grpc", True),
}
_FOLDER = ROOT / "benchmarks" / "apps"


def run(bench: Bench) -> Result:
    """Start each server in turns; show start-up and memory side by side."""
    samples: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in bench.pace(bench.rounds(3, 1), 90):
            for app in _APPS:
                for way in _WAYS:
                    sample = _serve(bench, app, way, Path(folder))
                    if number:  # the first start of each compiles and reads from the disk
                        samples.setdefault((app, way), []).append(sample)
    lines = [_compare(samples, app) for app in _APPS]
    heads = ["app", "way", "ready after, s", "CPU to start, s", "memory (PSS of all), MiB"]
    figures = [
        [
            _APPS[app],
            way,
            *(
                figure([s[key] for s in found]).text(form)
                for key, form in (("seconds", ".2f"), ("cpu", ".2f"), ("mib", ".0f"))
            ),
        ]
        for (app, way), found in samples.items()
    ]
    data = {f"{app}, {way}": found for (app, way), found in samples.items()}
    ours, theirs = (
        {key: figure([s[key] for s in samples["shop", way]]).median for key in ("seconds", "mib")}
        for way in ("prefork, forklog", "lazy-apps, stock")
    )
    telling = (
        f"Four uWSGI workers of a larger Django application start in {ours['seconds']:.1f} s and "
        f"take {ours['mib']:.0f} MiB, by prefork with forklog.\n"
        f"By lazy-apps with the stock handler it is {theirs['seconds']:.1f} s and "
        f"{theirs['mib']:.0f} MiB."
    )
    return Result(TITLE, lines, heads, figures, data, telling=telling)


def _compare(samples: dict[tuple[str, str], list[dict[str, float]]], app: str) -> Line:
    ours, theirs = (samples[app, way] for way in ("prefork, forklog", "lazy-apps, stock"))
    time_, memory = (
        ratios([s[key] for s in ours], [s[key] for s in theirs]) for key in ("seconds", "mib")
    )
    text = f"{time_.median:.2f} x the start-up time, {memory.median:.2f} x the memory"
    return Line(f"prefork with forklog, {_APPS[app]}", "side by side with lazy-apps, stock", text)


def _serve(bench: Bench, app: str, way: str, folder: Path) -> dict[str, Any]:
    """Start one server, have every worker log, and add up what its processes use."""
    subject, is_lazy = _WAYS[way]
    door = bench.sink.open(WIRES[subject])
    environ = {
        "BENCH_SUBJECT": subject,
        "BENCH_PORT": str(door.port),
        "PYTHONPATH": f"{ROOT}:{_FOLDER / app}",
    }
    options = ["--lazy-apps"] if is_lazy else []
    begin = time.monotonic()
    with Server.start(_FOLDER / "uwsgi.ini", folder, environ=environ, options=options) as server:
        server.wait_ready(_WORKERS, _WORKERS if is_lazy else 1)
        ask(server.url, 10)
        seconds = time.monotonic() - begin
        busy = sum(map(cpu_seconds, server.group()))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(server.url, 10), range(400)))
        pss = sum(map(pss_kib, server.group()))
    door.close()
    return {"seconds": seconds, "cpu": busy, "mib": pss / 1024}
