"""The simulation of a fleet: its sums, and what the gap brings."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from benchmarks.fleet.cases import CASES, SENDERS, outcomes_of
from benchmarks.fleet.quota import Answer, Quota
from benchmarks.fleet.rules import Gap
from benchmarks.fleet.siblings import Groups, Half, OneGap, Sibling, Whole
from benchmarks.fleet.simulate import Fleet, Outcome, Part, simulate, simulate_parts


def _half() -> float:
    return 0.5


def _outcome(sender: str, requests: float, seconds: float = 40.0) -> Outcome:
    quota = partial(Quota, requests=requests)
    return simulate(Fleet(processes=60, rate=10, seconds=seconds, quota=quota), SENDERS[sender])


@pytest.mark.parametrize("sender", SENDERS)
def test_without_a_refusal_no_sender_loses_or_waits(sender: str) -> None:
    """Far below the quota all is delivered, and the ages are those of the linger."""
    found = _outcome(sender, requests=5_000)
    assert (found.refused, found.lost) == (0, 0)
    linger = SENDERS[sender](lambda: 0.5).linger
    assert found.delivered >= (0.99 - linger / 40) * found.accepted
    assert found.age(0.99) < linger + 0.1


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


def test_a_quota_names_what_it_refuses() -> None:
    """A bucket holds one second's tokens, and a refused request takes none."""
    quota = Quota(requests=2, bytes=1_000)
    answers = [quota.answer(size, 0.0) for size in (900, 200, 100, 1)]
    assert answers == [Answer.TAKEN, Answer.OVER_BYTES, Answer.TAKEN, Answer.OVER_REQUESTS]
    assert quota.answer(1_000, 0.5) is Answer.OVER_BYTES
    assert quota.answer(5_000, 1.0) is Answer.TAKEN  # more than a bucket needs a full one
    assert quota.answer(1, 1.5) is Answer.OVER_BYTES  # and leaves a debt


def test_refusals_that_count_take_tokens() -> None:
    """Two requests a second come to a quota of one: with such a quota, none passes for long."""
    passed = {}
    for counts in (False, True):
        quota = Quota(requests=1, bytes=10, counts_refusals=counts)
        answers = [quota.answer(11 if n % 2 else 1, n / 2) for n in range(1, 21)]
        passed[counts] = sum(answer is Answer.TAKEN for answer in answers)
    assert passed[True] < passed[False]


@pytest.mark.parametrize("sender", ["stock", "fluent-bit", "exporter"])
def test_what_does_not_retry_a_429_loses_the_batch(sender: str) -> None:
    """By either quota, at the first refusal; other failures are retried."""
    rules = SENDERS[sender](lambda: 0.5)
    for answer in (Answer.OVER_REQUESTS, Answer.OVER_BYTES):
        assert rules.refused(1, 400, answer) is None
    assert rules.refused(1, 400, Answer.DOWN) is not None


@pytest.mark.parametrize(
    ("sender", "least", "most", "seconds"),
    [
        ("stock", [0, 0], [0.13, 0.169], 60),
        ("fluent-bit", [6, 6, 6], [11, 21, 41], 44.5),
        ("exporter", [0, 0], [0.13, 0.169], 12),
        ("collector", [2.5, 3.75, 5.6], [7.5, 11.25, 16.9], 270),
    ],
)
def test_the_delays_of_another_sender_are_those_of_its_source(
    sender: str, least: list[float], most: list[float], seconds: float
) -> None:
    """The first delays lie in these ranges, and the batch is lost after as long on average."""
    for random, expected in ((0.0, least), (1.0, most)):
        rules = SENDERS[sender](lambda at=random: at)  # type: ignore[misc]
        found = [rules.refused(n + 1, 400, Answer.DOWN) for n in range(len(expected))]
        assert found == pytest.approx(expected, abs=0.05)
    rules, total, attempts = SENDERS[sender](lambda: 0.5), 0.0, 1
    while (delay := rules.refused(attempts, 400, Answer.DOWN)) is not None:
        total, attempts = total + delay, attempts + 1
    assert total == pytest.approx(seconds, rel=0.2)


def test_a_batch_shrinks_when_a_quota_of_bytes_refuses_it() -> None:
    """It halves, and grows again with what is taken; a quota of requests does not shrink it."""
    gap = Gap(lambda: 0.5)
    gap.refused(1, 2_000_000, Answer.OVER_REQUESTS)
    assert gap.max_bytes == Gap.max_bytes
    gap.refused(1, 2_000_000, Answer.OVER_BYTES)
    assert gap.max_bytes == 1_000_000
    for _ in range(20):
        gap.taken()
    assert gap.max_bytes == Gap.max_bytes


def test_a_retry_beside_new_batches_does_not_hold_them_up() -> None:
    """While the collector waits 5 s for its retry, its next records arrive; forklog's wait."""
    fleet = Fleet(processes=1, rate=50, seconds=30.0, outage=(10.0, 10.3))
    beside, behind = (simulate(fleet, SENDERS[name]) for name in ("collector", "backoff"))
    for found in (beside, behind):
        assert found.lost == 0
        assert found.delivered >= found.accepted - 15
    assert beside.age(0.95) < 0.3
    assert beside.age(1.0) > 2.4


def test_what_an_outage_leaves_is_delivered_or_lost() -> None:
    """Of five minutes: forklog delivers all, fluent-bit and the exporter lose most of it."""
    fleet = Fleet(processes=10, rate=5, seconds=420, outage=(30.0, 330.0))
    found = {name: simulate(fleet, SENDERS[name]) for name in ("gap", "fluent-bit", "exporter")}
    assert found["gap"].lost == 0
    assert found["gap"].delivered > 0.99 * found["gap"].accepted
    assert found["gap"].backlog(1.0) <= 31
    for name in ("fluent-bit", "exporter"):
        assert found[name].lost > 0.5 * found[name].accepted


def test_a_fleet_that_starts_at_once_keeps_its_promises() -> None:
    """At ten times the quota, a start within a millisecond costs no more than one in a second."""
    quota = partial(Quota, requests=30)
    ages = [
        simulate(Fleet(processes=60, rate=10, seconds=40.0, quota=quota, spread=spread), Gap).age(
            0.99
        )
        for spread in (0.001, 1.0)
    ]
    assert ages[0] <= 1.5 * ages[1]


def test_an_outage_under_a_quota_of_bytes_is_caught_up_with() -> None:
    """The fleet needs two thirds of the bytes, and delivers ten seconds' backlog in a minute."""
    quota = partial(Quota, requests=math.inf, bytes=360_000)
    fleet = Fleet(processes=60, rate=10, seconds=90.0, quota=quota, outage=(10.0, 20.0))
    found = simulate(fleet, Gap)
    assert found.lost == 0
    assert found.delivered > 0.99 * found.accepted
    assert found.backlog(1.0) <= 60


def test_the_parts_of_a_mixed_fleet_are_counted_apart() -> None:
    """Nine processes log once a second, one logs ninety times; all is in one of the outcomes."""
    fleet = Fleet(processes=100, rate=1, seconds=20.0)
    slow, fast = simulate_parts(fleet, [Part(1, Gap, 9), Part(90, Gap, 1)])
    for found, expected in ((slow, 90 * 1 * 20), (fast, 10 * 90 * 20)):
        assert found.accepted == pytest.approx(expected, rel=0.1)
        assert found.delivered >= 0.98 * found.accepted


def test_a_sender_that_does_not_wait_takes_the_quota_from_those_that_do() -> None:
    """Beside as many stock handlers the processes with the gap lose nothing, but are late."""
    fleet = Fleet(processes=60, rate=10, seconds=40.0, quota=partial(Quota, requests=100))
    ours, stock = simulate_parts(fleet, [Part(10, Gap), Part(10, SENDERS["stock"])])
    assert ours.lost == 0
    assert stock.lost > 0.3 * stock.accepted
    alone = simulate(replace(fleet, processes=30), Gap)
    assert ours.age(0.99) > alone.age(0.99)


@pytest.mark.parametrize(("kind", "other"), [(Half, 0.5), (Whole, 1.0), (OneGap, 1.0)])
def test_siblings_learn_from_a_refusal(kind: type[Sibling], other: float) -> None:
    """Eight processes in a row are siblings; a refusal of one slows them, and no one else."""
    make = Groups(kind)
    senders = [make(_half) for _ in range(9)]
    senders[0].refused(1, 400, Answer.OVER_REQUESTS)
    senders[0].refused(2, 400, Answer.OVER_REQUESTS)
    own = senders[0].pace.gap
    assert own == 1.0
    assert [one.pace.gap for one in senders[1:8]] == [other * own] * 7
    assert senders[8].pace.gap == 0.0
    senders[1].refused(1, 400, Answer.DOWN)
    assert senders[2].pace.gap == other * own


def test_another_run_has_other_groups() -> None:
    """A fleet of no multiple of eight leaves no sibling to the next run."""
    make = Groups(Whole)
    first, second = make(Random(1).random), make(Random(1).random)  # noqa: S311 - a seeded run
    first.refused(1, 400, Answer.OVER_REQUESTS)
    assert second.pace.gap == 0.0


def test_each_case_names_a_fleet_and_its_senders() -> None:
    """A case has senders or parts, and a smaller fleet of its kind runs."""
    for name, case in CASES.items():
        fleet = replace(case.fleet, processes=10, seconds=2.0)
        found = outcomes_of(case._replace(fleet=fleet))
        assert set(found) == {*case.senders, *case.parts}, name
        assert all(outcome.requests for outcome in found.values()), name
