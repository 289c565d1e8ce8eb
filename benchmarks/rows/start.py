"""What importing forklog and building a handler costs: time and memory of fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT, environment
from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "Start: import and build a handler, in a fresh interpreter that has `logging` loaded"
_FRAME = """
import json, logging, os, resource, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, modules = resident(), len(sys.modules)
begin, busy = time.perf_counter(), time.process_time()
{body}
print(json.dumps({{"seconds": time.perf_counter() - begin, "cpu": time.process_time() - busy,
    "bytes": resident() - before, "modules": len(sys.modules) - modules}}), flush=True)
os._exit(0)
"""
_BODIES = {
    "stock": """
import google.cloud.logging
from google.auth.credentials import AnonymousCredentials
from google.cloud.logging.handlers import CloudLoggingHandler
client = google.cloud.logging.Client(project="bench", credentials=AnonymousCredentials())
resource_ = google.cloud.logging.Resource(type="global", labels={"project_id": "bench"})
handler = CloudLoggingHandler(client, resource=resource_)
""",
    "forklog": """
import forklog
handler = forklog.CloudLoggingHandler(project="bench")
""",
    "forklog, file": """
os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = "key.json"
import forklog
handler = forklog.CloudLoggingHandler(project="bench")
""",
    "requests": "import requests",
}
_LABELS = {
    "stock": "google.cloud.logging and its handler",
    "forklog": "forklog and its handler",
    "forklog, file": "forklog and its handler, with a file of credentials",
    "requests": "`import requests` alone, for scale",
}


def run(bench: Bench) -> Result:
    """Start interpreters in turns; judge time and added memory."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in _BODIES}
    for number in bench.pace(bench.rounds(10, 3), 35):
        for name, body in _BODIES.items():
            sample = _fresh(_FRAME.format(body=body))
            if number:  # the first of each compiles and reads from the disk
                samples[name].append(sample)
    seconds = {n: [s["seconds"] for s in samples[n]] for n in samples}
    grown = {n: [s["bytes"] for s in samples[n]] for n in samples}
    time_, memory = (ratios(x["forklog"], x["stock"]) for x in (seconds, grown))
    lines = [
        Line(
            "import and handler, time", "<= 0.5 x stock", f"{time_.text()} x", time_.median <= 0.5
        ),
        Line(
            "import and handler, memory",
            "<= 0.4 x stock",
            f"{memory.text()} x",
            memory.median <= 0.4,
        ),
    ]
    heads = ["what", "seconds", "added memory, MiB", "modules"]
    figures = [
        [
            _LABELS[n],
            figure(seconds[n]).text(".3f"),
            figure([b / 2**20 for b in grown[n]]).text(".1f"),
            str(samples[n][-1]["modules"]),
        ]
        for n in samples
    ]
    return Result(TITLE, lines, heads, figures, {"samples": samples})


def _fresh(code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, env=environment()
    )
    sample: dict[str, Any] = json.loads(done.stdout)
    return sample
