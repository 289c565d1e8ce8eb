"""The whole of `forklog demo`: real uWSGI servers, each handler, in all modes but `kill`."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.bench import ROOT, environment
from benchmarks.ratio import figure
from benchmarks.result import Line, Result

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "Demo: from the command to its end, s"
_MOST = 60.0  # seconds
_LIMIT = 300.0


def run(bench: Bench) -> Result:
    """Run the command as a user does, once or twice."""
    took = []
    for _ in range(bench.rounds(2, 1)):
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "forklog", "demo"],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
            timeout=_LIMIT,
        )
        took.append(time.monotonic() - begin)
        if done.returncode:
            raise RuntimeError(f"the demo ended with {done.returncode}:\n{done.stdout}")
    slowest = max(took)
    line = Line("demo, whole, once installed", "<= 60 s", f"{slowest:.0f} s", slowest <= _MOST)
    figures = [["`forklog demo`", str(len(took)), figure(took).text(".1f"), f"{slowest:.1f}"]]
    heads = ["what", "runs", "seconds", "slowest"]
    return Result(TITLE, [line], heads, figures, {"seconds": took})
