"""The simulation of a fleet: its sums, and what the gap brings."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.fleet.quota import Quota
from benchmarks.fleet.rules import SENDERS
from benchmarks.fleet.simulate import Fleet, Outcome, simulate


def _outcome(sender: str, requests: float, seconds: float = 40.0) -> Outcome:
    quota = partial(Quota, requests=requests)
    return simulate(Fleet(processes=60, rate=10, seconds=seconds, quota=quota), SENDERS[sender])


@pytest.mark.parametrize("sender", SENDERS)
def test_without_a_refusal_no_sender_loses_or_waits(sender: str) -> None:
    """Far below the quota all is delivered, and forklog's ages are those of its linger."""
    found = _outcome(sender, requests=5_000)
    assert (found.refused, found.lost) == (0, 0)
    assert found.delivered >= 0.99 * found.accepted
    assert found.age(0.99) < 0.3


def test_a_fleet_with_the_gap_takes_the_whole_quota_with_few_refusals() -> None:
    """At ten times the quota: the gap against the backoff alone, and the quota is kept."""
    ours, before = _outcome("gap", requests=30), _outcome("backoff", requests=30)
    for found in (ours, before):
        assert found.lost == 0
        assert found.requests - found.refused <= 30 * 41
    assert ours.refused / ours.requests < 0.5 * before.refused / before.requests
    assert ours.age(0.99) < 0.5 * before.age(0.99)
    assert ours.delivered > before.delivered


def test_the_stock_handler_loses_what_a_quota_refuses() -> None:
    """Every record is delivered, lost or waits."""
    found = _outcome("stock", requests=30)
    assert found.lost > 0.5 * found.accepted
    assert 0 <= found.accepted - found.delivered - found.lost <= 60 * 10


def test_a_run_can_be_repeated() -> None:
    """The same seed gives the same numbers."""
    assert _outcome("gap", requests=30, seconds=5.0) == _outcome("gap", requests=30, seconds=5.0)
