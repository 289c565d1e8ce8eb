"""The simulation: discrete events, one for each request of each process."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet.quota import Quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.fleet.rules import Rules

__all__ = ["Fleet", "Outcome", "simulate"]

_ENTRY_BYTES = 400
_BUFFER_ENTRIES = 32 * 1024 * 1024 // _ENTRY_BYTES
_FULL_ENTRIES = 1024 * 1024 // _ENTRY_BYTES  # worth a request of its own
_STEPS = 100  # of the histogram: so many to a factor of e, one percent each
_MANY = 30.0  # records: above, a normal distribution stands for Poisson's


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


@dataclass
class Outcome:
    """What came of it."""

    accepted: int = 0
    delivered: int = 0
    lost: int = 0
    requests: int = 0
    refused: int = 0
    last_of_outage: float = 0.0
    """Seconds from the end of the outage to the answer for the last record from before that."""
    ages: Counter[int] = field(default_factory=Counter)

    def age(self, share: float) -> float:
        """Return the age in seconds, at the server's answer, below which this share was."""
        left = share * sum(self.ages.values())
        for step in sorted(self.ages):
            left -= self.ages[step]
            if left <= 0:
                return math.exp(step / _STEPS)
        return math.nan


class _Span(NamedTuple):
    """Records that came evenly between two times."""

    first: float
    last: float
    number: int


class _Process:
    """One process: what waits, what is in flight, and its sender."""

    __slots__ = (
        "attempts",
        "batch",
        "is_open",
        "last_request",
        "last_take",
        "number",
        "rate",
        "rules",
        "seen",
        "spans",
    )

    def __init__(self, rate: float, start: float, rules: Rules) -> None:
        self.rate, self.seen, self.rules = rate, start, rules
        self.spans: deque[_Span] = deque()
        self.number = 0
        self.batch: list[_Span] = []
        self.attempts = 0
        self.is_open = True  # the batch may be filled up
        self.last_take = self.last_request = -math.inf

    def log(self, now: float, random: Random, outcome: Outcome) -> None:
        """Have the records come that were logged since the last look."""
        number = _poisson(self.rate * (now - self.seen), random) if now > self.seen else 0
        if number:
            self._append(_Span(self.seen, now, number), outcome)
        self.seen = max(self.seen, now)

    def log_next(self, random: Random, outcome: Outcome) -> float:
        """Have the next record come, and return when."""
        self.seen += random.expovariate(self.rate)
        self._append(_Span(self.seen, self.seen, 1), outcome)
        return self.seen

    def _append(self, span: _Span, outcome: Outcome) -> None:
        self.spans.append(span)
        self.number += span.number
        outcome.accepted += span.number
        if self.number > _BUFFER_ENTRIES:  # the oldest go first
            gone = self.take_spans(self.number - _BUFFER_ENTRIES)
            outcome.lost += sum(s.number for s in gone)

    def take_spans(self, most: int) -> list[_Span]:
        """Take the oldest records, so many at most."""
        taken: list[_Span] = []
        while most > 0 and self.spans:
            span = self.spans.popleft()
            if span.number > most:
                middle = span.first + (span.last - span.first) * most / span.number
                self.spans.appendleft(_Span(middle, span.last, span.number - most))
                span = _Span(span.first, middle, most)
            taken.append(span)
            most -= span.number
            self.number -= span.number
        return taken

    def fill(self) -> int:
        """Fill the batch as far as the rules let it; return its number of records."""
        held = sum(span.number for span in self.batch)
        if self.is_open:
            bounds = self.rules.max_entries, self.rules.max_bytes // _ENTRY_BYTES
            self.batch += self.take_spans(min(*bounds, _BUFFER_ENTRIES // 4) - held)
            held = sum(span.number for span in self.batch)
        return held

    def clear(self) -> None:
        """Have nothing in flight."""
        self.batch, self.attempts, self.is_open = [], 0, True


def simulate(fleet: Fleet, make: Callable[[Callable[[], float]], Rules], seed: int = 1) -> Outcome:
    """Run a fleet whose processes all have such a sender."""
    random, outcome, quota = Random(seed), Outcome(), fleet.quota()  # noqa: S311 - a seeded run
    rates, events = fleet.rate, []
    for number in range(fleet.processes):
        process = _Process(rates, random.random() * fleet.spread, make(random.random))
        first = process.log_next(random, outcome)
        events.append((first + process.rules.linger_after(math.inf), number, process))
    heapq.heapify(events)
    while events and events[0][0] < fleet.seconds:
        now, number, process = events[0]
        due = _request(process, now, fleet, quota, random, outcome)
        heapq.heapreplace(events, (due, number, process))
    for _, _, process in events:
        process.log(fleet.seconds, random, outcome)  # what waits at the end was accepted, too
    return outcome


def _request(  # noqa: PLR0913, PLR0917 - all of the simulation's state
    process: _Process, now: float, fleet: Fleet, quota: Quota, random: Random, outcome: Outcome
) -> float:
    """Send one request and return when the process sends its next one."""
    process.log(now, random, outcome)
    held = process.fill()
    rules = process.rules
    process.last_request = now
    if not process.attempts:
        process.last_take = now
    outcome.requests += 1
    is_down = fleet.outage is not None and fleet.outage[0] <= now < fleet.outage[1]
    answered = now + fleet.round_trip
    if not is_down and quota.takes(held * _ENTRY_BYTES, now):
        _deliver(process, answered, fleet, outcome)
        rules.taken()
    else:
        outcome.refused += not is_down
        process.attempts += 1
        process.is_open = rules.tops_up and not is_down
        delay = rules.refused(process.attempts, held * _ENTRY_BYTES, is_quota=not is_down)
        if delay is not None:
            return answered + delay
        outcome.lost += held
        process.clear()
    return max(_next_batch(process, answered, random, outcome), now + rules.seconds_to_next())


def _next_batch(process: _Process, now: float, random: Random, outcome: Outcome) -> float:
    """Return when the next batch of new records is due."""
    process.log(now, random, outcome)
    if process.number > _FULL_ENTRIES:
        return now
    if process.number:
        return max(now, process.last_take + process.rules.linger)
    first = process.log_next(random, outcome)
    return first + process.rules.linger_after(first - process.last_request)


def _deliver(process: _Process, now: float, fleet: Fleet, outcome: Outcome) -> None:
    for span in process.batch:
        outcome.delivered += span.number
        points = min(span.number, 4)
        for point in range(points):
            at = span.first + (span.last - span.first) * (point + 0.5) / points
            step = round(math.log(max(1e-3, now - at)) * _STEPS)
            share = span.number * (point + 1) // points - span.number * point // points
            outcome.ages[step] += share
        if fleet.outage and span.first <= fleet.outage[1]:
            outcome.last_of_outage = max(outcome.last_of_outage, now - fleet.outage[1])
    process.clear()


def _poisson(mean: float, random: Random) -> int:
    if mean > _MANY:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, number, product = math.exp(-mean), 0, random.random()
    while product > limit:
        number += 1
        product *= random.random()
    return number
