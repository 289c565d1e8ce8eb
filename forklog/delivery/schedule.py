"""Decides when the next request is due; asked by the flush thread, inline passes, flush and exit.

Pure: the worker looks, asks here, and acts. What comes after the look wakes it, since a `Wait` is
armed first and asked for once more.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from forklog.delivery.lifecycle import Ended, Order
from forklog.severity import NEVER


class SendResult(enum.Enum):
    """How one pass of work ended."""

    IDLE = "idle"
    SENT = "sent"
    LATER = "later"
    BUSY = "busy"
    FORKED = "forked"
    """The application's code has forked in the pass, and this is the child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the worker saw. Times in seconds on the monotonic clock."""

    now: float
    order: Order = Order.RUN
    is_paused: bool = False
    ends_when_idle: bool = False
    retry_at: float = 0.0
    """After a failure: no attempt before this."""
    is_retry_short: bool = False
    """The delay is the short one used while draining."""
    has_in_flight: bool = False
    has_waiting: bool = False
    """Entries wait in the buffer, or one that was set aside is due."""
    aside_seconds: float | None = None
    """Until an entry that was set aside is due."""
    is_aside_next: bool = False
    """Such an entry is due, and goes before what waits."""
    adopt_seconds: float | None = None
    """Until what dead processes left is to be looked for, or sent; None while draining."""
    since: float = 0.0
    """When the first entry that waits came, or the last pass began."""
    sent_at: float = 0.0
    """When the last request was sent."""
    max_latency: float = 0.0
    """The option: a batch may grow as long; endless for an inline pass, which no timer follows."""
    has_gap: bool = False
    """A quota of the project has refused requests, and the gap is not over."""
    is_urgent: bool = False
    """An entry of ``flush_rank`` waits."""
    urgent_until: float = 0.0
    """An urgent one may wait as long, so that a burst of errors is no request for each."""
    gap_until: float = 0.0
    """A quota of the project refuses requests: no batch of new entries before this."""
    is_full: bool = False
    """A batch's worth of bytes waits."""
    is_wanted: bool = False
    """No batch grows: a request ends, or no thread can start. The gap holds all the same."""
    is_flushing: bool = False
    """A flush waits for entries that are not settled; it is exempt from the gap."""
    flush_rank: int = NEVER
    trigger_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Make one pass; nothing has to wake the worker meanwhile."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep: until an entry of this rank, beyond so many bytes, or for so many seconds."""

    seconds: float | None
    wake_rank: int = NEVER
    alarm_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End the thread."""

    how: Ended


SEND = Send()
_QUIET, _SHORT_LINGER = 2, 0.01  # of max_latency; seconds
_ENDS = {how: End(how) for how in Ended}


def ordered_end(order: Order, *, is_paused: bool) -> End | None:
    """Return the end that orders ask for, whatever else is to be seen; None for none."""
    if order is Order.STOP or is_paused:
        return _ENDS[Ended.STOPPED if order is Order.STOP else Ended.PAUSED]
    return None


def next_step(look: Look) -> Send | Wait | End:
    """Return what the worker does next."""
    if (end := ordered_end(look.order, is_paused=look.is_paused)) is not None:
        return end
    is_draining = look.order >= Order.DRAIN
    left = look.retry_at - look.now
    if left > 0 and (look.is_retry_short or not is_draining):
        return Wait(left)
    if look.has_in_flight:
        return SEND
    if look.has_waiting:
        return SEND if is_draining or look.is_flushing else _linger(look)
    return _idle(look)


def _idle(look: Look) -> Send | Wait | End:
    if look.ends_when_idle and look.aside_seconds is None:
        return _ENDS[Ended.IDLE]
    if look.adopt_seconds == 0:
        return SEND
    times = [t for t in (look.aside_seconds, look.adopt_seconds) if t is not None]
    return Wait(min(times, default=None), wake_rank=0)


def linger_seconds(look: Look) -> float:
    """Return how long a batch may grow: little in a process that has sent nothing for a while.

    No further entry is likely to follow soon. After a short linger comes a long one, so that no
    process sends more than one request in ``max_latency`` on average.
    """
    is_quiet = look.since - look.sent_at >= _QUIET * look.max_latency
    most = _SHORT_LINGER if is_quiet and not look.has_gap else math.inf
    return min(most, look.max_latency)


def _linger(look: Look) -> Send | Wait:
    if look.gap_until > look.now:
        return Wait(look.gap_until - look.now)
    until, wake_rank = look.since + linger_seconds(look), look.flush_rank
    if look.is_urgent:
        until, wake_rank = min(until, look.urgent_until), NEVER
    if look.is_full or look.is_wanted or look.is_aside_next or until <= look.now:
        return SEND
    return Wait(until - look.now, wake_rank, look.trigger_bytes)
