"""Simulates a fleet by discrete events, one for each request of a process; gives its outcome."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet.outcome import Outcome
from benchmarks.fleet.process import Aside, Process
from benchmarks.fleet.quota import Answer, Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.fleet.rules import Maker

_FULL_BYTES = 1024 * 1024  # worth a request of its own


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is simulated."""

    processes: int
    rate: float
    """Records a second of each process."""
    seconds: float = 200.0
    quota: Callable[[], Quota] = Quota
    outage: tuple[float, float] | None = None
    """From when to when the server answers 503."""
    spread: float = 1.0
    """Seconds over which the processes start; little for a restart of all at once."""
    round_trip: float = 0.03
    """Seconds from a request to its answer."""
    entry_bytes: int = 400
    request_bytes: int = 0
    """Of a request, beside its entries."""


class Part(NamedTuple):
    """Processes of a mixed fleet that log at one rate and have one kind of sender."""

    rate: float
    make: Maker
    weight: int = 1
    """Of so many processes, to the weights of the others."""


@dataclass(slots=True)
class _Run:
    """The state of one run; an event is a time, a number that settles ties, and a process."""

    fleet: Fleet
    quota: Quota
    random: Random
    events: list[tuple[float, int, Process]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def push(self, due: float, process: Process) -> None:
        """Have the process send a request at a time."""
        heapq.heappush(self.events, (due, next(self.numbers), process))


def simulate(fleet: Fleet, make: Maker, seed: int = 1) -> Outcome:
    """Run a fleet whose processes all have such a sender."""
    return simulate_parts(fleet, [Part(fleet.rate, make)], seed)[0]


def simulate_parts(fleet: Fleet, parts: Sequence[Part], seed: int = 1) -> list[Outcome]:
    """Run a mixed fleet, whose processes take turns to be of these parts.

    Returns:
        what came of each part.
    """
    run = _Run(fleet, fleet.quota(), Random(seed))  # noqa: S311 - a seeded run
    outcomes: list[Outcome] = [Outcome() for _ in parts]
    turns = [pair for pair in zip(parts, outcomes, strict=True) for _ in range(pair[0].weight)]
    processes: list[Process] = []
    for part, outcome in itertools.islice(itertools.cycle(turns), fleet.processes):
        start, rules = run.random.random() * fleet.spread, part.make(run.random.random)
        process = Process(part.rate, start, rules, outcome, fleet.entry_bytes)
        run.push(process.log_next(run.random) + rules.linger_after(math.inf), process)
        processes.append(process)
    while run.events and run.events[0][0] < fleet.seconds:
        now, _, process = heapq.heappop(run.events)
        _request(run, process, now)
    for process in processes:
        process.end(fleet.seconds, run.random)
    return outcomes


def _request(run: _Run, process: Process, now: float) -> None:
    """Send one request, and have the process send its next one."""
    process.log(now, run.random)
    size = process.fill() * process.entry_bytes + run.fleet.request_bytes
    rules, outcome = process.rules, process.outcome
    process.last_request = now
    if not process.attempts:
        process.last_take = now
    outcome.requests += 1
    answer, answered = _answer(run, size, now), now + run.fleet.round_trip
    if answer is Answer.TAKEN:
        _deliver(process, answered, run.fleet)
        rules.taken()
    elif _is_held_up(run, process, size, answer, answered):
        return
    if process.parts:
        run.push(answered, process)  # what is in flight keeps no gap
    elif not isinstance(process, Aside):
        due = _next_batch(process, answered, run.random)
        run.push(max(due, now + rules.seconds_to_next()), process)


def _is_held_up(run: _Run, process: Process, size: int, answer: Answer, answered: float) -> bool:
    """Have the refused batch be retried or lost; tell whether the process waits for its retry."""
    rules, outcome = process.rules, process.outcome
    outcome.refused += answer is not Answer.DOWN
    attempts = process.refused(is_of_content=answer is Answer.DOWN)
    delay = rules.refused(attempts, size, answer)
    if delay is None:
        outcome.lost += sum(span.number for span in process.batch)
        process.settled()
        return False
    aside = process.set_aside()
    run.push(answered + delay, aside or process)
    return aside is None


def _answer(run: _Run, size: int, now: float) -> Answer:
    outage = run.fleet.outage
    if outage is not None and outage[0] <= now < outage[1]:
        return Answer.DOWN
    return run.quota.answer(size, now)


def _next_batch(process: Process, now: float, random: Random) -> float:
    """Return when the next batch of new records is due."""
    process.log(now, random)
    if process.number * process.entry_bytes > _FULL_BYTES:
        return now
    if process.number:
        return max(now, process.last_take + process.rules.linger)
    first = process.log_next(random)
    return first + process.rules.linger_after(first - process.last_request)


def _deliver(process: Process, now: float, fleet: Fleet) -> None:
    outcome = process.outcome
    for span in process.batch:
        outcome.delivered += span.number
        points = min(span.number, 4)
        for point in range(points):
            at = span.first + (span.last - span.first) * (point + 0.5) / points
            share = span.number * (point + 1) // points - span.number * point // points
            outcome.add_ages(now - at, share)
        if fleet.outage and span.first <= fleet.outage[1]:
            process.caught_up(now - fleet.outage[1])
    process.settled()
