"""A fleet under one quota, simulated: forklog with and without the gap, and other senders."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.fleet.cases import CASES, outcomes_of
from benchmarks.fleet.live import Shares, Trial, measure, request_sizes, simulated
from benchmarks.result import Line, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.bench import Bench
    from benchmarks.fleet.outcome import Outcome

TITLE = "Fleet: processes that share a quota of 2,000 requests a second, simulated"
HEADS = [
    *("fleet", "sender", "delivered", "lost", "age p50, s", "age p99, s", "refused"),
    "half, 99 % and all caught up after the outage, s",
]
_COMPARED = ("delivered", "refused", "p50", "p99")
_SHARES = (0.5, 0.99, 1.0)
_QUICK = 3_000  # processes at most in a quick run
_P99, _REFUSED, _LATE = 30.0, 0.10, 60.0
_BIG, _OUTAGE = "10,000 x 10/s, ten minutes", "10,000 x 10/s, outage of ten minutes"
_SMALL = {"1,000 x 10/s": 2.0, "1,000 x 100/s, all ERROR": 5.0}  # seconds of age p99 at most


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
        " / ".join(f"{outcome.backlog(share):.0f}" for share in _SHARES if outcome.backlogs) or "-",
    ]


def run(bench: Bench) -> Result:
    """Simulate all fleets; in a quick run the small ones."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    for name, case in CASES.items():
        if bench.quick and case.fleet.processes > _QUICK:
            continue
        for sender, outcome in outcomes_of(case).items():
            outcomes[name, sender] = outcome
    figures = [cells(*key, outcome) for key, outcome in outcomes.items()]
    data = {f"{case}, {sender}": _plain(o) for (case, sender), o in outcomes.items()}
    lines = [*_lines(outcomes), *_checks(bench, data)]
    return Result(TITLE, lines, HEADS, figures, data)


def _checks(bench: Bench, data: dict[str, Any]) -> Iterator[Line]:
    """Hold the simulation's mean against 40 real processes and the emulator's quotas.

    Args:
        bench: says whether to hurry.
        data: gets the numbers of each run.
    """
    seconds, sizes = (15.0 if bench.quick else 60.0), request_sizes()
    # With a quota of bytes it is chance which batch grows large, and is refused: so several runs.
    for rate, unit, runs in ((40.0, "requests", 1), (8.0, "requests", 1), (60_000.0, "bytes", 5)):
        trial = Trial(40, 10.0, seconds, rate, unit)
        reals = [measure(trial) for _ in range(1 if bench.quick else runs)]
        models = [simulated(trial, seed, sizes) for seed in range(5)]
        name = f"40 real processes, {rate:,.0f} {unit}/s"
        data[name] = {"real": [*map(asdict, reals)], "simulated": [*map(asdict, models)]}
        yield compared(name, reals, models)


def compared(name: str, reals: Sequence[Shares], models: Sequence[Shares]) -> Line:
    """Return the line that compares the means of real runs with those of the simulation."""
    real, model = (
        {key: statistics.mean(getattr(one, key) for one in runs) for key in _COMPARED}
        for runs in (reals, models)
    )
    text = (
        f"delivered {real['delivered']:.1%} (simulated {model['delivered']:.1%}),"
        f" refused {real['refused']:.1%} ({model['refused']:.1%}),"
        f" p50 {real['p50']:.2f} s ({model['p50']:.2f}),"
        f" p99 {real['p99']:.1f} s ({model['p99']:.1f})"
    )
    pairs = [(real[key], model[key]) for key in ("delivered", "refused")]
    is_met = all(abs(one - other) <= other / 4 for one, other in pairs)
    return Line(name, "shares within 1/4", text, is_met)


def _lines(outcomes: dict[tuple[str, str], Outcome]) -> Iterator[Line]:
    if found := outcomes.get((_BIG, "gap")):
        p99, refused = found.age(0.99), found.refused / found.requests
        text = f"{p99:.1f} s, {refused:.1%} refused"
        is_met = p99 <= _P99 and refused <= _REFUSED and not found.lost
        yield Line("fleet of 10,000, 600 s", "p99 <= 30 s, <= 10 % refused, 0 lost", text, is_met)
    for case, most in _SMALL.items():
        if found := outcomes.get((case, "gap")):
            p99 = found.age(0.99)
            is_met = p99 <= most and not found.lost
            yield Line(f"fleet of {case}", f"p99 <= {most:.0f} s, 0 lost", f"{p99:.1f} s", is_met)
    if found := outcomes.get((_OUTAGE, "gap")):
        late = found.backlog(1.0)
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
        "caught_up": [outcome.backlog(share) for share in _SHARES if outcome.backlogs],
    }
