"""A small fleet of real processes under a quota of the emulator, to check the simulation.

    python -m benchmarks.fleet.live PROCESSES RATE SECONDS REQUESTS_PER_SECOND

Each process logs as one of the simulation does, and ends without a hook when the time is over, so
that what still waits then is neither delivered nor lost. Prints the numbers as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.bench import ROOT, environment
from benchmarks.fleet.quota import Quota
from benchmarks.fleet.rules import Gap
from benchmarks.fleet.simulate import Fleet, Outcome, simulate
from benchmarks.rows.arrival import age
from forklog import CloudLoggingHandler
from forklog.emulator import Emulator

__all__ = ["ROUND_TRIP", "Shares", "measure", "simulated"]

ROUND_TRIP = 0.005  # seconds, to the emulator and back
_SPREAD = 1.0  # seconds over which the processes begin


@dataclass(frozen=True)
class Shares:
    """What came of a fleet, real or simulated. Ages are seconds until the server has the entry."""

    accepted: int
    delivered: float
    """Share of the accepted records."""
    refused: float
    """Share of the requests."""
    requests: int
    p50: float
    p99: float


def measure(processes: int, rate: float, seconds: float, per_second: float) -> Shares:
    """Run the real fleet, from a fresh interpreter."""
    numbers = (processes, rate, seconds, per_second)
    command = [sys.executable, "-m", "benchmarks.fleet.live", *map(str, numbers)]
    limit = 60 + 2 * seconds
    done = subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, env=environment(), timeout=limit
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return Shares(**json.loads(done.stdout))


def simulated(
    processes: int, rate: float, seconds: float, per_second: float, seed: int = 1
) -> Shares:
    """Simulate the same fleet."""
    quota = partial(Quota, requests=per_second)
    fleet = Fleet(
        processes=processes,
        rate=rate,
        seconds=seconds,
        quota=quota,
        spread=_SPREAD,
        round_trip=ROUND_TRIP,
    )
    return _shares_of(simulate(fleet, Gap, seed))


def _shares_of(outcome: Outcome) -> Shares:
    return Shares(
        outcome.accepted,
        outcome.delivered / outcome.accepted,
        outcome.refused / outcome.requests,
        outcome.requests,
        outcome.age(0.5),
        outcome.age(0.99),
    )


def _run(processes: int, rate: float, seconds: float, per_second: float) -> Shares:
    with Emulator.start() as emulator:
        handler = CloudLoggingHandler(project="fleet", endpoint=emulator.url)
        logger = logging.getLogger("fleet")
        logger.addHandler(handler)
        emulator.fault("quota", per_second=per_second)
        start = time.time() + 0.5 + 0.02 * processes
        reader, writer = os.pipe()
        children = []
        for _ in range(processes):
            child = os.fork()
            if not child:
                try:
                    _log(logger, rate, start, start + seconds, writer)
                finally:
                    os._exit(0)
            children.append(child)
        os.close(writer)
        time.sleep(max(0.0, start + seconds - time.time()))
        counts = emulator.stats()
        for child in children:
            os.waitpid(child, 0)
        with os.fdopen(reader) as lines:
            accepted = sum(map(int, lines))
        ages = sorted(age(entry) for entry in emulator.entries())
    return Shares(
        accepted,
        counts["entries_stored"] / accepted,
        counts["faults"] / counts["requests"],
        counts["requests"],
        ages[len(ages) // 2],
        ages[len(ages) * 99 // 100],
    )


def _log(logger: logging.Logger, rate: float, start: float, end: float, counts: int) -> None:
    """Log at random times, so many records a second on average; report how many there were."""
    chance = random.SystemRandom()
    at, number = start + chance.random() * _SPREAD, 0
    while (at := at + chance.expovariate(rate)) < end:
        time.sleep(max(0.0, at - time.time()))
        logger.warning("order %d of the fleet, written by a real process", number)
        number += 1
    time.sleep(max(0.0, end - time.time()))
    os.write(counts, f"{number}\n".encode())


if __name__ == "__main__":
    print(json.dumps(asdict(_run(int(sys.argv[1]), *map(float, sys.argv[2:])))))
