"""From the log call to the server's receipt, for quiet and busy processes, and what it costs.

    python -m benchmarks.rows.arrival ENDPOINT BURSTS_PER_SECOND RECORDS_PER_BURST SECONDS

This is the process that logs; it prints its CPU seconds and its number of records.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT, environment
from benchmarks.result import Line, Result
from forklog import CloudLoggingHandler
from forklog.emulator import Emulator

if TYPE_CHECKING:
    from benchmarks.bench import Bench

__all__ = ["age", "measure", "run"]

TITLE = "Arrival: from the log call to the server's receipt, max_latency 0.2 s"
_HEADS = ["bursts/s", "records each", "requests/s", "p50, ms", "p99, ms", "CPU a record, µs"]
_RATES = ((1, 1), (2, 1), (3, 1), (5, 1), (10, 1), (30, 1), (100, 1), (1_000, 1))
_BURSTS = ((1, 10), (3, 10), (5, 10), (10, 10), (100, 10))
_P50, _P99 = 15.0, 25.0


def measure(emulator: Emulator, rate: float, burst: int, seconds: float) -> dict[str, Any]:
    """Have a fresh process log so, and return what the emulator got of it."""
    emulator.reset()
    numbers = (rate, burst, seconds)
    command = [sys.executable, "-m", __name__, emulator.url, *map(str, numbers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    own = json.loads(done.stdout)
    ages = sorted(age(entry) for entry in emulator.entries()[1:])  # all but the very first
    return {
        "rate": rate,
        "burst": burst,
        "requests": own["requests"] / seconds,
        "p50": 1000 * ages[len(ages) // 2],
        "p99": 1000 * ages[len(ages) * 99 // 100],
        "cpu": 1e6 * own["cpu"] / own["records"],
        "lost": own["records"] - len(ages),
    }


def run(bench: Bench) -> Result:
    """Measure each rhythm; judge one record a second."""
    seconds = 6.0 if bench.quick else 30.0
    with Emulator.start() as emulator:
        found = [measure(emulator, rate, n, seconds) for rate, n in (*_RATES, *_BURSTS)]
    lone = found[0]
    text = f"p50 {lone['p50']:.0f} ms, p99 {lone['p99']:.0f} ms, {lone['requests']:.2f} requests/s"
    line = Line(
        "arrival, one record a second",
        f"p50 <= {_P50:.0f} ms, p99 <= {_P99:.0f} ms",
        text,
        lone["p50"] <= _P50 and lone["p99"] <= _P99,
    )
    figures = [
        [
            f"{one['rate']:,}",
            f"{one['burst']}",
            f"{one['requests']:.2f}",
            f"{one['p50']:.0f}",
            f"{one['p99']:.0f}",
            f"{one['cpu']:.0f}",
        ]
        for one in found
    ]
    return Result(TITLE, [line], _HEADS, figures, {"samples": found})


def age(entry: dict[str, str]) -> float:
    """Return the seconds from the log call to the receipt of an entry."""
    received, logged = (_time(entry[key]) for key in ("receiveTimestamp", "timestamp"))
    return (received - logged).total_seconds()


def _time(text: str) -> dt.datetime:
    whole, _, part = text.rstrip("Z").partition(".")
    return dt.datetime.fromisoformat(f"{whole}.{part[:6]:0<6}+00:00")


def _log(endpoint: str, rate: float, burst: int, seconds: float) -> dict[str, float]:
    handler = CloudLoggingHandler(project="arrival", endpoint=endpoint)
    logger = logging.getLogger("arrival")
    logger.addHandler(handler)
    logger.warning("the first record, which opens the connection")
    time.sleep(1.0)
    chance, records = random.SystemRandom(), 0
    before, cpu, at = handler.stats().requests, time.process_time(), time.monotonic()
    end = at + seconds
    while at < end:
        for _ in range(burst):
            logger.warning("order %d of a process that logs in a rhythm", records)
            records += 1
        at += (0.9 + 0.2 * chance.random()) / rate
        time.sleep(max(0.0, at - time.monotonic()))
    time.sleep(0.3)
    cpu = time.process_time() - cpu
    handler.flush()
    return {"records": records, "cpu": cpu, "requests": handler.stats().requests - before}


if __name__ == "__main__":
    print(json.dumps(_log(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
