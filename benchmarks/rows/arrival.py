"""From the log call to the server's receipt, for quiet and busy processes, and what it costs.

    python -m benchmarks.rows.arrival ENDPOINT BURSTS_PER_SECOND RECORDS_PER_BURST SECONDS LEVEL

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
from forklog.options import Options

if TYPE_CHECKING:
    from benchmarks.bench import Bench

TITLE = "Arrival: from the log call to the server's receipt, max_latency 0.2 s"
_HEADS = [
    *("level", "bursts/s", "records each"),
    *("requests/s", "p50, ms", "p99, ms", "CPU a record, µs"),
]
_RATES = ((2, 1), (3, 1), (5, 1), (10, 1), (30, 1), (100, 1), (1_000, 1))
_BURSTS = ((1, 10), (3, 10), (5, 10), (10, 10), (100, 10))
_P50, _P99 = 15.0, 25.0
_LONE_SECONDS, _SECONDS, _QUICK_SECONDS = 120.0, 30.0, 6.0
_MAX_LATENCY = Options().max_latency


def measure(
    emulator: Emulator, rate: float, burst: int, seconds: float, level: str = "WARNING"
) -> dict[str, Any]:
    """Have a fresh process log so, and return what the emulator got of it."""
    emulator.reset()
    asked = (rate, burst, seconds, level)
    command = [sys.executable, "-m", __name__, emulator.url, *map(str, asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    own = json.loads(done.stdout)
    ages = sorted(age(entry) for entry in emulator.entries()[1:])  # all but the very first
    return {
        "level": level,
        "rate": rate,
        "burst": burst,
        "seconds": seconds,
        "requests": own["requests"] / seconds,
        "p50": 1000 * ages[len(ages) // 2],
        "p99": 1000 * ages[len(ages) * 99 // 100],
        "cpu": 1e6 * own["cpu"] / own["records"],
        "lost": own["records"] - len(ages),
    }


def run(bench: Bench) -> Result:
    """Measure each rhythm; judge one record a second, one ERROR a second, and all requests."""
    lone, other = (_QUICK_SECONDS,) * 2 if bench.quick else (_LONE_SECONDS, _SECONDS)
    with Emulator.start() as emulator:
        lones = [measure(emulator, 1, 1, lone, level) for level in ("WARNING", "ERROR")]
        others = [measure(emulator, rate, n, other) for rate, n in (*_RATES, *_BURSTS)]
    found = [*lones, *others]
    figures = [
        [
            f"{one['level']}",
            f"{one['rate']:,}",
            f"{one['burst']}",
            f"{one['requests']:.2f}",
            f"{one['p50']:.1f}",
            f"{one['p99']:.1f}",
            f"{one['cpu']:.0f}",
        ]
        for one in found
    ]
    lines = [*map(_line, lones), _requests_line(found)]
    return Result(TITLE, lines, _HEADS, figures, {"samples": found})


def _line(lone: dict[str, Any]) -> Line:
    return Line(
        f"arrival, one {lone['level']} a second",
        f"p50 <= {_P50:.0f} ms, p99 <= {_P99:.0f} ms",
        f"p50 {lone['p50']:.1f} ms, p99 {lone['p99']:.1f} ms, {lone['requests']:.2f} requests/s",
        lone["p50"] <= _P50 and lone["p99"] <= _P99,
    )


def _requests_line(found: list[dict[str, Any]]) -> Line:
    """Judge the requests; a run of n times ``max_latency`` may hold n + 1."""
    most = max(one["requests"] for one in found)
    is_met = all(one["requests"] <= 1 / _MAX_LATENCY + 1 / one["seconds"] for one in found)
    return Line("arrival, any rhythm", "one request per max_latency", f"{most:.2f}/s", is_met)


def age(entry: dict[str, str]) -> float:
    """Return the seconds from the log call to the receipt of an entry."""
    received, logged = (_time(entry[key]) for key in ("receiveTimestamp", "timestamp"))
    return (received - logged).total_seconds()


def _time(text: str) -> dt.datetime:
    whole, _, part = text.rstrip("Z").partition(".")
    return dt.datetime.fromisoformat(f"{whole}.{part[:6]:0<6}+00:00")


def _log(endpoint: str, rate: float, burst: int, seconds: float, level: int) -> dict[str, float]:
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
            logger.log(level, "order %d of a process that logs in a rhythm", records)
            records += 1
        at += (0.9 + 0.2 * chance.random()) / rate
        time.sleep(max(0.0, at - time.monotonic()))
    time.sleep(0.3)
    cpu = time.process_time() - cpu
    handler.flush()
    return {"records": records, "cpu": cpu, "requests": handler.stats().requests - before}


if __name__ == "__main__":
    url, *given, name = sys.argv[1:]
    print(
        json.dumps(
            _log(url, float(given[0]), int(given[1]), float(given[2]), getattr(logging, name))
        )
    )
