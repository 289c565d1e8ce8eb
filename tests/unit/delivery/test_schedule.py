"""When the next request is due: the rules, and that they decide as the loops before them did."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forklog.delivery.lifecycle import Ended, Order
from forklog.delivery.schedule import SEND, End, Look, Send, Wait, next_step
from forklog.severity import NEVER

_SECONDS = st.sampled_from([0.0, 0.01, 0.2, 1.0, 1.5, 30.0])
_LOOKS = st.builds(
    Look,
    now=st.just(1.0),
    order=st.sampled_from(Order),
    is_paused=st.booleans(),
    ends_when_idle=st.booleans(),
    retry_at=_SECONDS,
    is_retry_short=st.booleans(),
    has_in_flight=st.booleans(),
    has_waiting=st.booleans(),
    aside_seconds=st.none() | _SECONDS,
    since=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    sent_at=st.sampled_from([0.0, 0.4, 0.9, 1.0]),
    max_latency=st.sampled_from([0.0, 0.005, 0.2, 1.0, 60.0]),
    has_gap=st.booleans(),
    is_urgent=st.booleans(),
    urgent_until=_SECONDS,
    is_full=st.booleans(),
    is_wanted=st.booleans(),
    is_flushing=st.booleans(),
    flush_rank=st.integers(0, NEVER),
    trigger_bytes=st.just(100),
)


def _as_the_loops(look: Look) -> Send | Wait | End:  # noqa: PLR0911 - as it was
    """Decide as the three nested loops of the worker did that `next_step` replaced."""
    is_leaving, is_stopping = look.order >= Order.DRAIN, look.order is Order.STOP
    if is_stopping:  # the head of the thread's loop
        return End(Ended.STOPPED)
    left = look.retry_at - look.now  # while a failure passes
    if left > 0 and not (is_leaving and not look.is_retry_short) and not look.is_paused:
        return Wait(left)
    if look.is_paused:
        return End(Ended.PAUSED)
    if look.has_in_flight:
        return SEND
    if not look.has_waiting:  # asleep
        if look.ends_when_idle and look.aside_seconds is None:
            return End(Ended.IDLE)
        return Wait(look.aside_seconds, 0)
    until, rank = look.since + look.max_latency, look.flush_rank  # while a batch grows
    if look.is_urgent:
        until, rank = min(until, look.urgent_until), NEVER
    is_wanted = look.is_wanted or look.is_flushing
    if until - look.now <= 0 or look.is_full or is_leaving or is_wanted:
        return SEND
    return Wait(until - look.now, rank, look.trigger_bytes)


@given(_LOOKS)
def test_it_decides_as_the_loops_did(look: Look) -> None:
    """Whatever a worker sees that sends, it does as before the decision stood in one place."""
    busy = replace(look, sent_at=look.since)
    assert next_step(busy) == _as_the_loops(busy)


def _linger(*, since: float, sent_at: float, max_latency: float, has_gap: bool = False) -> float:
    """Return how long the worker lets a batch grow that begins now."""
    look = Look(
        now=since,
        has_waiting=True,
        since=since,
        sent_at=sent_at,
        max_latency=max_latency,
        has_gap=has_gap,
    )
    step = next_step(look)
    return step.seconds or 0.0 if isinstance(step, Wait) else 0.0


def test_a_quiet_process_lingers_ten_milliseconds() -> None:
    """Twice `max_latency` after its last request; never more than `max_latency`."""
    for max_latency, quiet in ((0.2, 0.4), (0.02, 0.04), (1.0, 2.0), (60.0, 120.0)):
        late, early = 100.0 + quiet, 100.0 + quiet - 0.01
        found = _linger(since=late, sent_at=100.0, max_latency=max_latency)
        assert found == pytest.approx(min(0.01, max_latency))
        found = _linger(since=early, sent_at=100.0, max_latency=max_latency)
        assert found == pytest.approx(max_latency)


def test_no_linger_is_short_with_a_gap_and_none_is_ever_with_zero() -> None:
    """While a quota refuses, a process that sends rarely is not quiet."""
    assert _linger(since=9.0, sent_at=0.0, max_latency=0.2, has_gap=True) == pytest.approx(0.2)
    for sent_at in (0.0, 8.9):
        assert _linger(since=9.0, sent_at=sent_at, max_latency=0.0) == 0.0


@settings(max_examples=40)
@given(st.lists(st.floats(0.0001, 3.0), min_size=50, max_size=200), st.sampled_from([0.2, 1.0]))
def test_no_rhythm_of_records_costs_more_than_a_request_in_max_latency(
    pauses: list[float], max_latency: float
) -> None:
    """On average, and one more: a short linger follows a pause that was longer than a long one."""
    now = sent_at = 0.0
    requests, due = 0, math.inf
    for pause in pauses:
        now += pause
        if now > due:
            requests, sent_at, due = requests + 1, due, math.inf
        if math.isinf(due):
            due = now + _linger(since=now, sent_at=sent_at, max_latency=max_latency)
    assert requests <= 1 + now / max_latency


@given(_LOOKS)
def test_stop_ends_whatever_else_is_seen(look: Look) -> None:
    """The highest order counts first; a pause is next."""
    assert next_step(replace(look, order=Order.STOP)) == End(Ended.STOPPED)
    assume(look.order is not Order.STOP)
    assert next_step(replace(look, is_paused=True)) == End(Ended.PAUSED)


@given(_LOOKS)
def test_no_wait_is_without_an_end(look: Look) -> None:
    """It waits for a time, or for any entry; never for nothing, and never for no time."""
    step = next_step(look)
    if isinstance(step, Wait):
        assert step.seconds is not None or step.wake_rank == 0
        assert step.seconds is None or step.seconds >= 0


@given(_LOOKS)
def test_a_wait_is_over_when_its_time_is(look: Look) -> None:
    """At its end the same look sends, so no loop is busy; while a failure passes it may not yet."""
    step = next_step(replace(look, retry_at=0.0))
    if isinstance(step, Wait) and step.seconds is not None and look.has_waiting:
        later = replace(look, retry_at=0.0, now=look.now + step.seconds + 1e-9)
        assert next_step(later) == SEND


@given(_LOOKS)
def test_draining_lingers_for_nothing(look: Look) -> None:
    """With the order to drain entries go at once; only a short wait after a failure is waited."""
    step = next_step(replace(look, order=Order.DRAIN, is_paused=False, has_waiting=True))
    is_waited = look.is_retry_short and look.retry_at > look.now
    assert step == (Wait(look.retry_at - look.now) if is_waited else SEND)


@given(_LOOKS)
def test_nothing_ends_the_thread_while_entries_wait(look: Look) -> None:
    """An order to end when idle waits for them, those that were set aside included."""
    assume(look.has_waiting or look.has_in_flight or look.aside_seconds is not None)
    assert next_step(look) != End(Ended.IDLE)


@given(_LOOKS)
def test_while_a_quota_refuses_new_entries_wait_for_the_gap(look: Look) -> None:
    """Errors, a full batch and a request's end wait as well; what comes wakes no thread."""
    calm = replace(look, order=Order.RUN, is_paused=False, retry_at=0.0, is_flushing=False)
    waiting = replace(calm, has_in_flight=False, has_waiting=True, gap_until=4.0)
    assert next_step(waiting) == Wait(3.0)


@given(_LOOKS)
def test_a_flush_and_an_end_are_exempt_from_the_gap(look: Look) -> None:
    """Where a flush, `close` or the exit waits, the worker decides as without a gap."""
    assume(look.is_flushing or look.order >= Order.DRAIN)
    assert next_step(replace(look, gap_until=4.0)) == next_step(look)


@given(_LOOKS)
def test_a_gap_that_is_over_changes_nothing(look: Look) -> None:
    """At its end the worker decides as it did before."""
    assert next_step(replace(look, gap_until=look.now)) == next_step(look)


def test_inline_passes_linger_for_ever() -> None:
    """Without a timer only what is urgent, full or wanted is sent."""
    look = Look(now=5.0, has_waiting=True, max_latency=math.inf, urgent_until=5.0)
    assert isinstance(next_step(look), Wait)
    for seen in ("is_urgent", "is_full", "is_wanted", "is_flushing"):
        assert next_step(replace(look, **{seen: True})) == SEND  # type: ignore[arg-type]
