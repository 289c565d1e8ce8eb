"""Lists which fleets are simulated and by which senders, for the row `fleet`; runs each case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from benchmarks.fleet.peers import Collector, Exporter, FluentBit, Stock
from benchmarks.fleet.quota import Quota
from benchmarks.fleet.rules import Backoff, Gap, GapStorm, Maker, Storm
from benchmarks.fleet.siblings import Groups, Half, OneGap, Whole
from benchmarks.fleet.simulate import Fleet, Outcome, Part, simulate, simulate_parts


class Case(NamedTuple):
    """A fleet and the senders that are tried in it."""

    fleet: Fleet
    senders: Mapping[str, Maker]
    """Each in a run of its own."""
    parts: Mapping[str, Part] = {}
    """Of a mixed fleet, all in one run."""


SENDERS: Mapping[str, Maker] = {
    "backoff": Backoff,
    "gap": Gap,
    "stock": Stock,
    "fluent-bit": FluentBit,
    "exporter": Exporter,
    "collector": Collector,
}
_ALL = (100, 300, 1_000, 3_000, 10_000)  # so many processes are simulated with all senders
SIZES = (*_ALL, 50_000)
_OURS = {name: SENDERS[name] for name in ("backoff", "gap")}
_STORMS = {"backoff": Storm, "gap": GapStorm}
_SIBLINGS: Mapping[str, Maker] = {
    "gap": Gap,
    "siblings: half the gap": Groups(Half),
    "siblings: the whole gap": Groups(Whole),
    "siblings: one gap": Groups(OneGap),
}
# A tenth of the fleet under a tenth of the quota; "10,000 x 10/s, whole" shows what that changes.
_TENTH = partial(Quota, requests=200.0)
_COUNTING = partial(Quota, requests=200.0, counts_refusals=True)
_BYTES = partial(Quota, requests=math.inf, bytes=5e6)  # a region's 300 MB a minute
_OUTAGE = (60.0, 660.0)

CASES: Mapping[str, Case] = {
    **{
        f"{n:,} x 10/s": Case(Fleet(processes=n // 10, rate=10, quota=_TENTH), SENDERS)
        for n in _ALL
    },
    "50,000 x 10/s": Case(Fleet(processes=5_000, rate=10, quota=_TENTH), _OURS),
    "10,000 x 10/s, whole": Case(Fleet(processes=10_000, rate=10), {"gap": Gap}),
    "10,000 x 1/s": Case(Fleet(processes=1_000, rate=1, quota=_TENTH), _OURS),
    "10,000 x 100/s": Case(Fleet(processes=1_000, rate=100, quota=_TENTH), _OURS),
    "10,000 x 10/s, ten minutes": Case(
        Fleet(processes=1_000, rate=10, seconds=600, quota=_TENTH), _OURS
    ),
    "1,000 x 100/s, all ERROR": Case(Fleet(processes=100, rate=100, quota=_TENTH), _STORMS),
    "10,000 x 10/s, outage of ten minutes": Case(
        Fleet(processes=10_000, rate=10, seconds=900, outage=_OUTAGE), _OURS
    ),
    "300 x 10/s, outage of ten minutes": Case(
        Fleet(processes=30, rate=10, seconds=900, outage=_OUTAGE, quota=_TENTH), SENDERS
    ),
    "10,000 x 10/s, all started within 10 ms": Case(
        Fleet(processes=1_000, rate=10, spread=0.01, quota=_TENTH), _OURS
    ),
    "10,000 x 10/s, groups of eight": Case(
        Fleet(processes=1_000, rate=10, quota=_TENTH), _SIBLINGS
    ),
    "10,000 x 10/s, groups of eight, outage of ten minutes": Case(
        Fleet(processes=1_000, rate=10, seconds=900, outage=_OUTAGE, quota=_TENTH), _SIBLINGS
    ),
    "1,000 x 10/s, refusals count": Case(Fleet(processes=100, rate=10, quota=_COUNTING), SENDERS),
    "10,000 x 10/s, refusals count": Case(Fleet(processes=1_000, rate=10, quota=_COUNTING), _OURS),
    "1,000 x 10/s, 5 MB/s, outage of 30 s": Case(
        Fleet(processes=1_000, rate=10, seconds=400, quota=_BYTES, outage=(60.0, 90.0)), _OURS
    ),
    "2,000 x 10/s, 5 MB/s": Case(Fleet(processes=2_000, rate=10, quota=_BYTES), _OURS),
    "5,000, mixed rates": Case(
        Fleet(processes=500, rate=10, quota=_TENTH),
        {},
        {f"gap, {n} of 10 at {rate}/s": Part(rate, Gap, n) for n, rate in ((9, 2), (1, 100))},
    ),
    "3,000 x 10/s, mixed senders": Case(
        Fleet(processes=300, rate=10, quota=_TENTH),
        {},
        {name: Part(10, SENDERS[name]) for name in ("gap", "stock")},
    ),
}


def outcomes_of(case: Case) -> dict[str, Outcome]:
    """Run a case; return what came of each sender, or of each part of a mixed fleet."""
    found = {name: simulate(case.fleet, make) for name, make in case.senders.items()}
    if case.parts:
        parts = simulate_parts(case.fleet, list(case.parts.values()))
        found |= dict(zip(case.parts, parts, strict=True))
    return found
