"""How often an idle process wakes up, by the kernel's count, over ten seconds."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Idle: what the subject's threads do in ten seconds without a record"
_SUBJECTS = ("queue", "stock-grpc", "stock-http", "otel", "loguru", "logstash", "forklog")
_SWITCHES = re.compile(r"voluntary_ctxt_switches:\s*(\d+)")


def measure(room: Room, seconds: float) -> dict[str, Any]:
    """In the subject's process: context switches and CPU time of all threads but this one."""
    room.start().plain(100)
    room.settle(100)
    time.sleep(1.5)  # whatever follows a batch is over; this thread's sleep is not counted
    before = _threads()
    time.sleep(seconds)
    after = _threads()
    woken = {tid: n - before.get(tid, (0, 0))[0] for tid, (n, _) in after.items()}
    busy = sum(t - before.get(tid, (0, 0))[1] for tid, (_, t) in after.items())
    return {"threads": len(after), "wakeups": sum(woken.values()), "cpu_us": busy / 1000}


def _threads() -> dict[str, tuple[int, int]]:
    """Return switches and nanoseconds on a CPU of each thread but the main one."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(os.getpid()):
            switches = sum(map(int, _SWITCHES.findall((task / "status").read_text())))
            found[task.name] = switches, int((task / "schedstat").read_text().split()[0])
    return found


def run(bench: Bench) -> Result:
    """Watch all subjects at the same time, each in its own process."""
    seconds = bench.rounds(10, 5)
    workers = {name: bench.fresh(name) for name in _SUBJECTS}
    for worker in workers.values():
        worker.order("idle", "measure", seconds=seconds)
    answers = {name: worker.answer("idle.measure") for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    ours = answers["forklog"]
    text = f"{ours['wakeups']} in {seconds} s"
    line = Line("idle", "no wake-up of our thread in 10 s", text, ours["wakeups"] == 0)
    heads = ["subject", "threads", "wake-ups", "CPU, µs"]
    figures = [
        [LABELS[n], str(a["threads"]), str(a["wakeups"]), f"{a['cpu_us']:,.0f}"]
        for n, a in answers.items()
    ]
    return Result(TITLE, [line], heads, figures, {"answers": answers})
