"""Tells a pipeline, by a table, what an event means in its state; has its worker's orders.

No clock, thread or lock.

The pipeline looks a step up, takes its state, then performs its action. An exception in between
leaves the new state; each action may be repeated, and the next record does so.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class State(enum.Enum):
    """What drives the pipeline."""

    INERT = "inert"
    HOLDING = "holding"
    RUNNING = "running"
    INLINE = "inline"
    CLOSED = "closed"


class Order(enum.IntEnum):
    """What the worker is to do. Rising: the highest that was given counts."""

    RUN = 0
    END_WHEN_IDLE = 1
    """End the thread once nothing is pending. It stays given under a higher order."""
    DRAIN = 2
    """Linger no more, and wait out failures in short waits."""
    STOP = 3


class Orders:
    """The orders that one worker has, and whether it pauses for a fork.

    Each call is one step, for any thread and any context.
    """

    __slots__ = ("_given", "is_paused")

    def __init__(self) -> None:
        """Run."""
        self._given = bytearray((1, 0, 0, 0))
        self.is_paused = False

    def give(self, order: Order) -> None:
        """Add an order."""
        self._given[order] = 1

    def withdraw(self, order: Order) -> None:
        """Take an order back, as of a close that was interrupted."""
        self._given[order] = 0

    def pause(self, *, is_paused: bool) -> None:
        """Have the thread end between two passes, because the process is about to fork."""
        self.is_paused = is_paused

    @property
    def highest(self) -> Order:
        """Return the order that counts."""
        return Order(self._given.rfind(1))

    @property
    def ends_when_idle(self) -> bool:
        """Tell whether the thread is to end once nothing is pending."""
        return bool(self._given[Order.END_WHEN_IDLE])

    @property
    def is_draining(self) -> bool:
        """Tell whether nothing is to linger any more."""
        return self._given.rfind(1) >= Order.DRAIN


class Ended(enum.Enum):
    """How the flush thread ended."""

    IDLE = "idle"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"


class Event(enum.Enum):
    """What happens to a pipeline, in the words of docs/design.md."""

    RECORD = "record"
    RECORD_IN_LOADER = "record, uWSGI will fork"
    RECORD_WITHOUT_THREADS = "record, no thread"
    RECORD_AT_EXIT = "record after an exit hook"
    RECORD_AT_LAST = "record, modules gone"
    ADOPT = "adopt hook"
    ENDED_IDLE = "thread ended idle"
    ENDED_PAUSED = "thread paused"
    ENDED_STOPPED = "thread stopped"
    ENDED_CRASHED = "thread crashed"
    NO_THREAD = "thread did not start"
    EXIT = "exit hook"
    RETIRE = "after the last hook"
    CLOSE = "close"
    CLOSED = "close, flush over"


ENDED: Mapping[Ended, Event] = MappingProxyType(
    {ended: Event[f"ENDED_{ended.name}"] for ended in Ended}
)


class Action(enum.Enum):
    """What the pipeline does; each is a method of it."""

    NONE = "-"
    HOLD = "hold"
    START = "start"
    GO_INLINE = "go inline"
    SEND_HERE = "send here"
    FLUSH_HERE = "flush here"
    GIVE_UP = "give up"
    HAND_ON = "hand on"
    ADOPT = "adopt"
    LOOK = "look again"
    STAY_PAUSED = "stay paused"
    DRAIN = "drain"
    DRAIN_AND_LOOK = "drain, look again"
    STOP = "stop"
    END_WHEN_IDLE = "end when idle"
    FLUSH = "revoke, flush"
    FINISH = "stop, give up"


class Step(NamedTuple):
    """What an event leads to: the state is taken first, then the action is performed."""

    action: Action
    state: State


class Staged:
    """What has a state and takes steps."""

    def __init__(self) -> None:
        """Be inert."""
        self.state = State.INERT

    def _take(self, event: Event) -> Action:
        """Take the state that an event leads to; return what is to be done."""
        state = self.state
        step = STEPS[state, event]
        if step.state is not state:  # else another thread may have changed it meanwhile
            self.state = step.state
        return step.action


_A = Action
_Cell = tuple[Action, State | None]  # None: the state stays


def _rows() -> Mapping[Event, tuple[_Cell, ...]]:
    """Return the rows of the table; the columns are the states, in order."""
    none, give_up, hand_on = (_A.NONE, None), (_A.GIVE_UP, None), (_A.HAND_ON, None)
    start, hold = (_A.START, State.RUNNING), (_A.HOLD, State.HOLDING)
    inline = (_A.GO_INLINE, State.INLINE)
    look_inert, look = (_A.LOOK, State.INERT), (_A.LOOK, None)
    drain, drain_look = (_A.DRAIN, None), (_A.DRAIN_AND_LOOK, None)
    flush, finish = (_A.FLUSH, None), (_A.FINISH, State.CLOSED)
    return {
        # inert, holding, running, inline, closed
        Event.RECORD: (start, start, start, start, hand_on),
        Event.RECORD_IN_LOADER: (hold, hold, hold, hold, hand_on),
        Event.RECORD_WITHOUT_THREADS: (inline, inline, inline, (_A.SEND_HERE, None), hand_on),
        Event.RECORD_AT_EXIT: (start, start, start, (_A.FLUSH_HERE, None), hand_on),
        Event.RECORD_AT_LAST: (give_up, give_up, give_up, give_up, give_up),
        Event.ADOPT: ((_A.ADOPT, None), look, none, none, none),
        Event.ENDED_IDLE: (none, none, look_inert, none, none),
        Event.ENDED_PAUSED: (none, none, (_A.STAY_PAUSED, State.INERT), none, none),
        Event.ENDED_STOPPED: (none, none, none, look, none),
        Event.ENDED_CRASHED: (none, none, look_inert, look, none),
        Event.NO_THREAD: (inline, inline, inline, inline, none),
        Event.EXIT: (drain_look, drain_look, drain, drain, none),
        Event.RETIRE: (none, none, (_A.STOP, State.INLINE), none, none),
        Event.CLOSE: (flush, (_A.END_WHEN_IDLE, None), flush, flush, none),
        Event.CLOSED: (finish, finish, finish, finish, none),
    }


STEPS: Mapping[tuple[State, Event], Step] = MappingProxyType(
    {
        (state, event): Step(action, after or state)
        for event, row in _rows().items()
        for state, (action, after) in zip(State, row, strict=True)
    }
)
