"""One process of a simulated fleet: the records that wait, the batch in flight, and its sender."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet.parts import Parts

if TYPE_CHECKING:
    from random import Random

    from benchmarks.fleet.outcome import Outcome
    from benchmarks.fleet.rules import Rules

_BUFFER_BYTES = 32 * 1024 * 1024
_MANY = 30.0  # records: above, a normal distribution stands for Poisson's


class Span(NamedTuple):
    """Records that came evenly between two times."""

    first: float
    last: float
    number: int


class Process:
    """One process: what waits, what is in flight, and its sender."""

    __slots__ = (
        "asides",
        "attempts",
        "backlog",
        "batch",
        "buffer",
        "entry_bytes",
        "is_open",
        "last_request",
        "last_take",
        "number",
        "outcome",
        "parts",
        "rate",
        "rules",
        "seen",
        "spans",
    )

    def __init__(
        self, rate: float, start: float, rules: Rules, outcome: Outcome, entry_bytes: int
    ) -> None:
        """Begin to log at such a time."""
        self.rate, self.seen, self.rules, self.outcome = rate, start, rules, outcome
        self.entry_bytes, self.buffer = entry_bytes, _BUFFER_BYTES // entry_bytes
        self.spans: deque[Span] = deque()
        self.number = 0
        self.batch: list[Span] = []
        self.attempts = self.asides = 0
        self.is_open = True  # the batch may be filled up
        self.parts: Parts | None = None  # made by the first refusal that may split a batch
        self.backlog = 0.0
        self.last_take = self.last_request = -math.inf

    def log(self, now: float, random: Random) -> None:
        """Have the records come that were logged since the last look."""
        number = _poisson(self.rate * (now - self.seen), random) if now > self.seen else 0
        if number:
            self._append(Span(self.seen, now, number))
        self.seen = max(self.seen, now)

    def log_next(self, random: Random) -> float:
        """Have the next record come, and return when."""
        self.seen += random.expovariate(self.rate)
        self._append(Span(self.seen, self.seen, 1))
        return self.seen

    def end(self, now: float, random: Random) -> None:
        """Count what was logged until the end as accepted, and a next record after it as none."""
        self.log(now, random)
        if self.spans and self.spans[-1].first > now:
            self.outcome.accepted -= self.spans[-1].number
        if self.backlog:
            self.outcome.backlogs.append(self.backlog)

    def _append(self, span: Span) -> None:
        self.spans.append(span)
        self.number += span.number
        self.outcome.accepted += span.number
        if self.number > self.buffer:  # the oldest go first
            gone = self._take_spans(self.number - self.buffer)
            self.outcome.lost += sum(s.number for s in gone)

    def _take_spans(self, most: int) -> list[Span]:
        """Take the oldest records, so many at most."""
        taken: list[Span] = []
        while most > 0 and self.spans:
            span = self.spans.popleft()
            if span.number > most:
                middle = span.first + (span.last - span.first) * most / span.number
                self.spans.appendleft(Span(middle, span.last, span.number - most))
                span = Span(span.first, middle, most)
            taken.append(span)
            most -= span.number
            self.number -= span.number
        return taken

    def fill(self) -> int:
        """Fill the batch as far as the rules let it; return its number of records."""
        if self.parts:
            self.batch = [Span(at, at, 1) for at in self.parts.next_times()]
            if self.parts:
                return len(self.batch)
        held = sum(span.number for span in self.batch)
        if self.is_open:
            most = min(
                self.rules.max_entries, self.rules.max_bytes // self.entry_bytes, self.buffer // 4
            )
            self.batch = sorted(self.batch + self._take_spans(most - held))
            held = sum(span.number for span in self.batch)
        return held

    def clear(self) -> None:
        """Have nothing in flight."""
        self.batch, self.attempts, self.is_open = [], 0, True

    def set_aside(self) -> Aside | None:
        """Return the refused batch, if it waits beside new ones, and have nothing in flight."""
        if self.asides >= self.rules.beside:
            return None
        self.asides += 1
        aside = Aside(self)
        self.clear()
        return aside

    def settled(self) -> None:
        """Have the batch in flight no more, because it was delivered or lost."""
        if self.parts is not None:
            self.parts.passed()
        self.clear()

    def refused(self, *, is_of_content: bool) -> int:
        """Have the batch wait for its retry; return how many refusals in a row that is."""
        self.attempts += 1
        self.is_open = self.rules.tops_up and not is_of_content
        if not self.rules.splits or not (self.parts or is_of_content):
            return self.attempts
        if self.parts is None:
            takes = self._take_times, self._take_newest
            self.parts = Parts(self.rules, self.entry_bytes, self.buffer, *takes)
        if not self.parts:
            self.parts.begin(_times_of(self.batch), self.attempts - 1)
        return self.parts.refused(is_of_content=is_of_content)

    def _take_times(self, most: int) -> list[float]:
        return _times_of(self._take_spans(most))

    def _take_newest(self) -> list[float]:
        """Take the newest record; return when it was logged."""
        if not self.spans:
            return []
        span = self.spans.pop()
        middle = span.last - (span.last - span.first) / span.number
        if span.number > 1:
            self.spans.append(Span(span.first, middle, span.number - 1))
        self.number -= 1
        return _times_of([Span(middle, span.last, 1)])

    def caught_up(self, seconds: float) -> None:
        """Take note that a record from before the end of the outage came so long after it."""
        self.backlog = max(self.backlog, seconds)


class Aside(Process):
    """A refused batch that waits for its retry while its process sends new ones."""

    __slots__ = ("owner",)

    def __init__(self, owner: Process) -> None:
        """Take the batch that was refused."""
        super().__init__(0.0, owner.seen, owner.rules, owner.outcome, owner.entry_bytes)
        self.owner, self.batch, self.attempts = owner, owner.batch, owner.attempts
        self.is_open = False

    def set_aside(self) -> None:
        """Wait as it is."""

    def settled(self) -> None:
        """Make room for another."""
        super().settled()
        self.owner.asides -= 1

    def caught_up(self, seconds: float) -> None:
        """Take note of it for the process."""
        self.owner.caught_up(seconds)


def _times_of(spans: list[Span]) -> list[float]:
    """Return when each record of some spans was logged."""
    return [
        span.first + (span.last - span.first) * (place + 0.5) / span.number
        for span in spans
        for place in range(span.number)
    ]


def _poisson(mean: float, random: Random) -> int:
    if mean > _MANY:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, number, product = math.exp(-mean), 0, random.random()
    while product > limit:
        number += 1
        product *= random.random()
    return number
