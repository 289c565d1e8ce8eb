"""The states, orders and steps of a pipeline: the table walked whole, and shown in the docs."""

from __future__ import annotations

import itertools

import draw_steps
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.delivery import starting
from forklog.delivery.lifecycle import ENDED, STEPS, Action, Ended, Event, Order, Orders, State
from forklog.delivery.pipeline import Pipeline

_PAIRS = list(itertools.product(State, Event))
_RECORDS = [event for event in Event if event.name.startswith("RECORD")]
_ELSEWHERE = {
    Action.NONE,
    Action.DRAIN,
    Action.DRAIN_AND_LOOK,
    Action.STOP,
    Action.END_WHEN_IDLE,
    Action.FLUSH,
    Action.FINISH,
}
"""What `flush`, `close` and the exit do themselves."""


def test_the_page_shows_the_table() -> None:
    """docs/design.md has the steps of the code, each of them."""
    page = draw_steps.PAGE.read_text(encoding="utf-8")
    assert page == draw_steps.with_steps(page), "run: python tests/support/draw_steps.py"


def test_every_pair_has_one_step() -> None:
    """No state meets an event that the table does not know."""
    assert set(STEPS) == set(_PAIRS)


@pytest.mark.parametrize(("state", "event"), _PAIRS, ids=lambda one: one.name.lower())
def test_a_step_can_be_taken_and_repeated(state: State, event: Event) -> None:
    """Its action is a method or done by its caller; from where it leads it does no harm again.

    An exception may come between a step and its end: the same event then finds the new state.
    """
    step = STEPS[state, event]
    is_method = step.action in starting.METHODS
    assert is_method != (step.action in _ELSEWHERE)
    assert not is_method or callable(getattr(Pipeline, starting.METHODS[step.action]))
    again = STEPS[step.state, event]
    assert again.state is step.state
    assert again.action in {step.action, Action.NONE, Action.SEND_HERE, Action.LOOK}


def test_no_record_is_ignored() -> None:
    """Whatever the state, a record starts, holds, sends, or is written to the last resort."""
    idle = {Action.NONE, Action.STAY_PAUSED, Action.LOOK}
    assert not [pair for pair in itertools.product(State, _RECORDS) if STEPS[pair].action in idle]


def test_a_closed_pipeline_stays_closed() -> None:
    """Nothing opens it again: a successor takes its place."""
    assert {STEPS[State.CLOSED, event].state for event in Event} == {State.CLOSED}


def test_every_end_of_a_thread_is_an_event() -> None:
    """A thread that ended leaves no pipeline running, unless it was ordered to stop."""
    assert set(ENDED) == set(Ended)
    left = {how for how, event in ENDED.items() if STEPS[State.RUNNING, event].state != State.INERT}
    assert left == {Ended.STOPPED}


@given(st.lists(st.sampled_from(Order)))
def test_orders_rise(orders: list[Order]) -> None:
    """The highest that was given counts, in whatever order they came; the second one is kept."""
    given_ones = Orders()
    for order in orders:
        given_ones.give(order)
        given_ones.give(Order.RUN)
    assert given_ones.highest is max(orders, default=Order.RUN)
    assert given_ones.is_draining == (given_ones.highest >= Order.DRAIN)
    assert given_ones.ends_when_idle == (Order.END_WHEN_IDLE in orders)
