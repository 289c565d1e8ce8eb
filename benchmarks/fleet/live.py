"""A small fleet of real processes under a quota of the emulator, to check the simulation.

    python -m benchmarks.fleet.live PROCESSES RATE SECONDS PER_SECOND UNIT

Each process logs as one of the simulation does, and ends without a hook when the time is over. So
what still waits then is neither delivered nor lost. Prints the numbers as JSON.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

from benchmarks.bench import ROOT, environment
from benchmarks.fleet.quota import Quota
from benchmarks.fleet.rules import Gap
from benchmarks.fleet.simulate import Fleet, Outcome, simulate
from benchmarks.rows.arrival import age
from forklog import CloudLoggingHandler
from forklog.emulator import Emulator

ROUND_TRIP = 0.005  # seconds, to the emulator and back
_SPREAD = 1.0  # seconds over which the processes begin
_SIZES = (300, 150)  # bytes, for a quota of requests, which does not count them


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


class Trial(NamedTuple):
    """A small fleet and its quota."""

    processes: int
    rate: float
    """Records a second of each process."""
    seconds: float
    per_second: float
    """Requests or bytes."""
    unit: str = "requests"
    """Or "bytes": of the bodies of the requests, as the emulator counts them."""


def measure(trial: Trial) -> Shares:
    """Run the real fleet, from a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.fleet.live", *map(str, trial)]
    limit = 60 + 2 * trial.seconds
    done = subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, env=environment(), timeout=limit
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return Shares(**json.loads(done.stdout))


def simulated(trial: Trial, seed: int = 1, sizes: tuple[int, int] = _SIZES) -> Shares:
    """Simulate the same fleet, whose `request_sizes` are these."""
    per_second = {"requests": math.inf, trial.unit: trial.per_second}
    fleet = Fleet(
        processes=trial.processes,
        rate=trial.rate,
        seconds=trial.seconds,
        quota=partial(Quota, **per_second),
        spread=_SPREAD,
        round_trip=ROUND_TRIP,
        entry_bytes=sizes[0],
        request_bytes=sizes[1],
    )
    return _shares_of(simulate(fleet, Gap, seed))


def request_sizes() -> tuple[int, int]:
    """Return the bytes of an entry that the fleet logs, and those of a request beside them.

    They depend on the folder of this file, which stands in each entry.
    """
    sizes = []
    with Emulator.start() as emulator:
        logger = _logger(emulator)
        handler = logger.handlers[-1]
        for number in (1, 11):
            emulator.reset()
            for order in range(10, 10 + number):
                _log_one(logger, order)
            handler.flush()
            sizes.append(emulator.stats()["bytes"])
        logger.removeHandler(handler)
        handler.close()
    entry = (sizes[1] - sizes[0]) // 10
    return entry, sizes[0] - entry


def _logger(emulator: Emulator) -> logging.Logger:
    logger = logging.getLogger("fleet")
    logger.addHandler(CloudLoggingHandler(project="fleet", endpoint=emulator.url))
    return logger


def _log_one(logger: logging.Logger, number: int) -> None:
    logger.warning("order %d of the fleet, written by a real process", number)


def _shares_of(outcome: Outcome) -> Shares:
    return Shares(
        outcome.accepted,
        outcome.delivered / outcome.accepted,
        outcome.refused / outcome.requests,
        outcome.requests,
        outcome.age(0.5),
        outcome.age(0.99),
    )


def _run(trial: Trial) -> Shares:
    with Emulator.start() as emulator:
        logger = _logger(emulator)
        emulator.fault("quota", per_second=trial.per_second, unit=trial.unit)
        start = time.time() + 0.5 + 0.02 * trial.processes
        end = start + trial.seconds
        reader, writer = os.pipe()
        children = []
        for _ in range(trial.processes):
            child = os.fork()
            if not child:
                try:
                    _log(logger, trial.rate, start, end, writer)
                finally:
                    os._exit(0)
            children.append(child)
        os.close(writer)
        time.sleep(max(0.0, end - time.time()))
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
        _log_one(logger, number)
        number += 1
    time.sleep(max(0.0, end - time.time()))
    os.write(counts, f"{number}\n".encode())


if __name__ == "__main__":
    count, *numbers, unit = sys.argv[1:]
    print(json.dumps(asdict(_run(Trial(int(count), *map(float, numbers), unit)))))
