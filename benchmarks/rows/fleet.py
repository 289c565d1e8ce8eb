"""A fleet under one quota, simulated: forklog with and without the gap, and other senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.fleet.cases import CASES
from benchmarks.fleet.live import measure, simulated
from benchmarks.fleet.simulate import Outcome, simulate
from benchmarks.result import Line, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

__all__ = ["HEADS", "cells", "run"]

TITLE = "Fleet: processes that share a quota of 2,000 requests a second, simulated"
HEADS = ["fleet", "sender", "delivered", "lost", "age p50, s", "age p99, s", "refused"]
_QUICK = 3_000  # processes at most in a quick run
_P99, _REFUSED, _LATE = 30.0, 0.10, 60.0
_BIG, _OUTAGE = "10,000 x 10/s, ten minutes", "10,000 x 10/s, outage of ten minutes"


def cells(case: str, sender: str, outcome: Outcome) -> list[str]:
    """Return the cells of one line of the table."""
    return [
        case,
        sender,
        f"{outcome.delivered / outcome.accepted:.1%}",
        f"{outcome.lost / outcome.accepted:.1%}",
        f"{outcome.age(0.5):.2f}",
        f"{outcome.age(0.99):.1f}",
        f"{outcome.refused / outcome.requests:.1%}",
    ]


def run(bench: Bench) -> Result:
    """Simulate all fleets; in a quick run the small ones."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    for name, case in CASES.items():
        if bench.quick and case.fleet.processes > _QUICK:
            continue
        for sender, make in case.senders.items():
            outcomes[name, sender] = simulate(case.fleet, make)
    figures = [cells(*key, outcome) for key, outcome in outcomes.items()]
    data = {f"{case}, {sender}": _plain(o) for (case, sender), o in outcomes.items()}
    lines = [*_lines(outcomes), _check(bench)]
    return Result(TITLE, lines, HEADS, figures, data)


def _check(bench: Bench) -> Line:
    """Hold the simulation against 40 real processes and the emulator's quota."""
    fleet = (40, 10.0, 15.0 if bench.quick else 60.0, 40.0)
    real, model = measure(*fleet), simulated(*fleet)
    text = (
        f"delivered {real.delivered:.1%}, refused {real.refused:.1%}, p50 {real.p50:.2f} s, p99"
        f" {real.p99:.1f} s; simulated {model.delivered:.1%}, {model.refused:.1%},"
        f" {model.p50:.2f} s, {model.p99:.1f} s"
    )
    pairs = ((real.delivered, model.delivered), (real.refused, model.refused))
    is_met = all(abs(one - other) <= other / 4 for one, other in pairs)
    return Line("40 real processes, 40 requests/s", "shares within 1/4", text, is_met)


def _lines(outcomes: dict[tuple[str, str], Outcome]) -> Iterator[Line]:
    if found := outcomes.get((_BIG, "gap")):
        p99, refused = found.age(0.99), found.refused / found.requests
        text = f"{p99:.1f} s, {refused:.1%} refused"
        is_met = p99 <= _P99 and refused <= _REFUSED and not found.lost
        yield Line("fleet of 10,000", "p99 <= 30 s, <= 10 % refused, 0 lost", text, is_met)
    if found := outcomes.get((_OUTAGE, "gap")):
        late = found.last_of_outage
        yield Line("fleet after an outage", "last record <= 60 s", f"{late:.0f} s", late <= _LATE)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "accepted": outcome.accepted,
        "delivered": outcome.delivered,
        "lost": outcome.lost,
        "requests": outcome.requests,
        "refused": outcome.refused,
        "p50": outcome.age(0.5),
        "p99": outcome.age(0.99),
        "last_of_outage": outcome.last_of_outage,
    }
