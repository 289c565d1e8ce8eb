"""The fleets that are simulated, and by which senders."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet.quota import Quota
from benchmarks.fleet.rules import SENDERS, STORMS
from benchmarks.fleet.simulate import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.fleet.rules import Rules

__all__ = ["CASES", "SIZES", "Case"]


class Case(NamedTuple):
    """A fleet and the senders that are tried in it."""

    fleet: Fleet
    senders: Mapping[str, Callable[[Callable[[], float]], Rules]]


_OURS = {name: SENDERS[name] for name in ("backoff", "gap")}
SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000)
_TENTH = partial(Quota, requests=200.0)
CASES: dict[str, Case] = {
    **{
        # A tenth of the fleet under a tenth of the quota: the shares and ages are the same.
        f"{n:,} x 10/s": Case(Fleet(processes=n // 10, rate=10, quota=_TENTH), SENDERS)
        for n in SIZES
    },
    "10,000 x 10/s, ten minutes": Case(
        Fleet(processes=1_000, rate=10, seconds=600, quota=_TENTH), _OURS
    ),
    "1,000 x 100/s, all ERROR": Case(Fleet(processes=100, rate=100, quota=_TENTH), STORMS),
    "10,000 x 10/s, outage of ten minutes": Case(
        Fleet(processes=10_000, rate=10, seconds=900, outage=(60.0, 660.0)), _OURS
    ),
    "10,000 x 10/s, all started within 10 ms": Case(
        Fleet(processes=1_000, rate=10, spread=0.001, quota=_TENTH), _OURS
    ),
    "1,000 x 10/s, refusals count": Case(
        Fleet(
            processes=100,
            rate=10,
            quota=partial(Quota, requests=200.0, counts_refusals=True),
        ),
        _OURS,
    ),
}
