"""docs/design.md's table of orders says what `next_step` decides."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import draw_steps
import pytest

from forklog.delivery import passes
from forklog.delivery.lifecycle import Ended, Order
from forklog.delivery.schedule import SEND, End, Look, Wait, next_step

_ROW = re.compile(r"^\| `([A-Z_]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_ROWS = {name: cells for name, *cells in _ROW.findall(draw_steps.PAGE.read_text(encoding="utf-8"))}
_EMPTY = {
    "sleeps": Wait(None, wake_rank=0),
    "the thread ends": End(Ended.IDLE),
    "the thread ends, at once": End(Ended.STOPPED),
}
_OTHERS = {
    "with a timeout only while an entry is set aside, or a look at the spool is to come": [
        ({"aside_seconds": 5.0}, Wait(5.0, wake_rank=0)),
        ({"adopt_seconds": 9.0}, Wait(9.0, wake_rank=0)),
    ],
    "sleeps while an entry is set aside": [({"aside_seconds": 5.0}, Wait(5.0, wake_rank=0))],
    "ends if `END_WHEN_IDLE` was given too and no entry is set aside": [
        ({"ends_when_idle": True}, End(Ended.IDLE)),
        ({"ends_when_idle": True, "aside_seconds": 5.0}, Wait(5.0, wake_rank=0)),
    ],
}


def _look(order: Order) -> Look:
    """Return what a worker sees that has this order alone."""
    return Look(now=0.0, order=order, max_latency=1.0, ends_when_idle=order is Order.END_WHEN_IDLE)


def test_each_order_has_its_row() -> None:
    """In the order in which they rise."""
    assert list(_ROWS) == [order.name for order in Order]


@pytest.mark.parametrize("order", Order)
def test_a_row_tells_whether_a_batch_may_grow(order: Order) -> None:
    """The first cell."""
    step = next_step(replace(_look(order), has_waiting=True))
    assert isinstance(step, Wait) == (_ROWS[order.name][0] == "yes")


@pytest.mark.parametrize("order", Order)
def test_a_row_tells_whether_a_failure_is_waited_out(order: Order) -> None:
    """The second cell: the whole wait, a short one, or none."""
    failed = replace(_look(order), retry_at=30.0, has_in_flight=True)
    steps = [next_step(replace(failed, is_retry_short=is_short)) for is_short in (False, True)]
    short = f"{passes._FIRST_SHORT_WAIT} s, doubling to {passes._LONGEST_SHORT_WAIT} s"
    waits = {"yes": [Wait(30.0)] * 2, short: [SEND, Wait(30.0)], "no": [End(Ended.STOPPED)] * 2}
    assert steps == waits[_ROWS[order.name][1]]


@pytest.mark.parametrize("order", Order)
def test_a_row_tells_what_follows_an_empty_buffer(order: Order) -> None:
    """The third cell: the first phrase, and what the others add to it."""
    first, *others = _ROWS[order.name][2].split("; ")
    assert next_step(_look(order)) == _EMPTY[first]
    for seen, step in itertools.chain.from_iterable(_OTHERS[phrase] for phrase in others):
        assert next_step(replace(_look(order), **seen)) == step  # type: ignore[arg-type]
