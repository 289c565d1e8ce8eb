"""What a spool in shared memory costs: log call, flush thread, idle; `spool_files` has the rest."""

from __future__ import annotations

import mmap
import os
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from benchmarks.rows.spool_files import held_bytes
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench, Samples
    from benchmarks.worker import Room

TITLE = "Spool: in shared memory, beside the same handler without one"
_BOTH = ("forklog", "spooled")
_SHARED = "/dev/shm"  # noqa: S108 - where the option `auto` puts it
_ENTRY = b'{"insertId":"%029d"' % 0 + b"x" * 260 + b"}\n"
_ENTRIES = 3_000
_MOST = (2 * 1024 + 4) * 1024  # two segments of 1 MiB, and the head


def flush(room: Room, number: int) -> dict[str, Any]:
    """In the subject's process: CPU of all threads but this one for each delivered record."""
    subject = room.start()
    before = time.process_time_ns() - time.thread_time_ns()
    subject.plain(number)
    room.settle(number)
    busy = time.process_time_ns() - time.thread_time_ns() - before
    return {"us": busy / 1000 / number, "bytes": held_bytes()}


def run(bench: Bench) -> Result:
    """Measure in turns, with and without a spool."""
    with tempfile.TemporaryDirectory(dir=_SHARED) as folder:
        os.environ["BENCH_SPOOL"] = folder
        calls = bench.fresh_turns(
            _BOTH, bench.pace(bench.rounds(48, 3), 20), "caller", variant="plain", number=150,
            bursts=3,
        )  # fmt: skip
        flushes = bench.fresh_turns(
            _BOTH, bench.pace(bench.rounds(12, 3), 15), "spool", "flush", number=2_000
        )
        worker = bench.fresh("spooled")
        idle = worker.measure("idle", seconds=5)
        worker.close()
        appends = _appends(Path(folder))
    call = _columns(calls, lambda s: statistics.median(s["wall"]) / 1000)
    busy = _columns(flushes, lambda s: s["us"])
    dearer, busier = (ratios(x["spooled"], x["forklog"]) for x in (call, busy))
    most = max(sample["bytes"] for sample in flushes["spooled"])
    wakes = idle["wakeups"]
    lines = [
        Line("spool, log call", "<= 1.05 x without", f"{dearer.text()} x", dearer.median <= 1.05),
        Line("spool, flush side", "<= 1.15 x without", f"{busier.text()} x", busier.median <= 1.15),
        Line("spool, idle", "no wake-up in 5 s", str(wakes), wakes == 0),
        Line("spool, memory in tmpfs", "<= 2,052 KiB", f"{most / 1024:,.0f} KiB", most <= _MOST),
    ]
    figures = [[LABELS[n], *(figure(x[n]).text() for x in (call, busy))] for n in _BOTH]
    figures += [[f"append by {how}", f"{us:.2f}", ""] for how, us in appends.items()]
    heads = ["what", "a call, µs", "flush side, CPU µs a record"]
    data = {"calls": calls, "flushes": flushes, "idle": idle, "appends": appends}
    note = (
        "The memory is what the spool held after 2,000 records at once: two segments and the head."
    )
    return Result(TITLE, lines, heads, figures, data, note=note)


def _columns(samples: Samples, pick: Callable[[dict[str, Any]], float]) -> dict[str, list[float]]:
    return {name: [pick(sample) for sample in found] for name, found in samples.items()}


def _appends(folder: Path) -> dict[str, float]:
    """Return the microseconds of one entry of 300 B in memory, in a map, a file and a database."""
    size = len(_ENTRY) * _ENTRIES
    database = sqlite3.connect(folder / "entries.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=OFF")
    database.execute("CREATE TABLE entries (entry BLOB)")
    insert = "INSERT INTO entries VALUES (?)"
    with (folder / "written").open("wb", buffering=0) as file, mmap.mmap(-1, size) as mapped:
        mapped.write(bytes(size))
        mapped.seek(0)
        ways: dict[str, Callable[[], object]] = {
            "deque.append": lambda queue=deque(): queue.append(_ENTRY),
            "mmap.write": lambda: mapped.write(_ENTRY),
            "os.write": lambda: os.write(file.fileno(), _ENTRY),
            "SQLite, WAL, synchronous off": lambda: database.execute(insert, (_ENTRY,)),
        }
        found = {how: _timed(way) for how, way in ways.items()}
    database.close()
    return found


def _timed(way: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    for _ in range(_ENTRIES):
        way()
    return (time.perf_counter_ns() - begin) / 1000 / _ENTRIES
