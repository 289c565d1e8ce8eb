"""The gap between requests while a quota refuses: the rules, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.delivery.sending.gap import LEAST_BATCH_BYTES, Pace

_MIB = 1024 * 1024
_chance = st.floats(0, 1)
_steps = st.lists(st.sampled_from(["taken", "refused", "bytes"]), max_size=60)


def _after(steps: list[str], pace: Pace | None = None) -> Pace:
    pace = pace or Pace()
    for step in steps:
        if step == "taken":
            pace = pace.taken(4 * _MIB)
        else:
            pace = pace.refused(4 * _MIB if step == "bytes" else None)
    return pace


def test_a_refusal_doubles_the_gap_from_a_quarter_second_to_a_minute() -> None:
    """Half a second after the first; from 10 s on it grows by half; 60 s however many follow."""
    assert [_after(["refused"] * n).gap for n in range(1, 12)] == [
        *(0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        *(24.0, 36.0, 54.0, 60.0, 60.0),
    ]


def test_without_a_refusal_nothing_changes() -> None:
    """Requests that are taken leave the very same pace, and no wait."""
    pace = Pace()
    assert pace.taken(4 * _MIB) is pace
    assert pace.seconds_to_next(lambda: 1.0) == 0.0


def test_each_request_that_is_taken_shortens_the_gap() -> None:
    """A gap g becomes g / (1 + g / 100); a long one shrinks by far more than a short one."""
    assert Pace(60.0).taken(_MIB).gap == pytest.approx(60.0 / 1.6)
    assert Pace(1.0).taken(_MIB).gap == pytest.approx(1.0 / 1.01)


def test_a_gap_below_20_ms_is_none() -> None:
    """So that a fleet which has room again pays nothing at all."""
    assert Pace(0.0200001).taken(_MIB) == Pace(0.0)
    assert Pace(0.03).taken(_MIB).gap > 0.02


@given(_steps)
def test_the_gap_stays_within_its_bounds(steps: list[str]) -> None:
    """Zero, or 20 ms to 60 s; a bound of the batch is never below 128 KiB."""
    pace = _after(steps)
    assert pace.gap == 0.0 or 0.02 <= pace.gap <= 60.0
    assert pace.batch_bytes is None or LEAST_BATCH_BYTES <= pace.batch_bytes < 4 * _MIB


@given(_steps)
def test_a_quota_of_requests_leaves_the_batches_alone(steps: list[str]) -> None:
    """Only an answer that names a quota of bytes makes batches smaller."""
    assert _after([step for step in steps if step != "bytes"]).batch_bytes is None


def test_a_quota_of_bytes_halves_the_batch_and_successes_give_it_back() -> None:
    """Half of the largest batch, a tenth more for each request that is taken, then no bound."""
    pace = _after(["bytes"])
    assert pace.batch_bytes == 2 * _MIB
    assert pace.taken(4 * _MIB).batch_bytes == int(2.2 * _MIB)
    assert _after(["bytes"] * 9).batch_bytes == LEAST_BATCH_BYTES
    assert _after(["taken"] * 8, pace).batch_bytes is None


def test_the_batch_that_is_halved_is_the_one_that_was_sent() -> None:
    """A process whose batches are small is not given a bound above them."""
    assert Pace().refused(600_000).batch_bytes == 300_000
    assert Pace(1.0, 2 * _MIB).refused(600_000).batch_bytes == 300_000


@given(st.floats(0, 60), st.floats(0, 3600), _chance)
def test_a_retry_never_comes_sooner_than_the_server_asked(
    gap: float, retry_after: float, chance: float
) -> None:
    """`Retry-After` is a floor, up to half of it is added, and a share of ten seconds' gap."""
    seconds = Pace(gap).seconds_to_retry(retry_after, lambda: chance)
    assert retry_after + 0.25 * min(gap, 10) <= seconds + 1e-9
    assert seconds <= 1.5 * retry_after + 0.75 * min(gap, 10) + 1e-9


@given(st.floats(0.02, 60), _chance)
def test_new_entries_wait_half_a_gap_to_one_and_a_half(gap: float, chance: float) -> None:
    """So that processes that were refused at one time drift apart."""
    assert 0.5 * gap <= Pace(gap).seconds_to_next(lambda: chance) <= 1.5 * gap
