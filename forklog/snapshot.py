"""What a handler's `stats()` returns: an immutable snapshot, counters apart from gauges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

_EMPTY: Mapping[str, int] = MappingProxyType({})


def summed(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    """Return the sums of two sets of counters, which are never changed."""
    if not one or not other:
        return one or other
    total = Counter(one)
    total.update(other)
    return MappingProxyType(dict(total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What this process's pipeline has done so far.

    ``accepted == delivered + sum(diverted.values()) + sum(dropped.values()) + pending`` holds in
    every snapshot. The unit is the entry: a record is one entry, or several where it was too long
    and had to be split.

    Counters only grow, also where the handler is closed and starts again; they start at zero in
    every process. Gauges are read at the call.
    """

    pid: int
    """Process that this snapshot is about."""
    state: str
    """``inert`` (no record), ``holding`` (uWSGI master), ``running``, ``inline``, ``closed``."""
    accepted: int = 0
    """Counter: entries taken from log calls, held entries adopted from a parent included."""
    delivered: int = 0
    """Counter: entries that the server has confirmed."""
    diverted: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    """Counter: entries written elsewhere in place of the server, by place: ``stderr``, ``file``."""
    dropped: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    """Counter: entries given up, by reason (docs/delivery.md lists the reasons)."""
    adopted: int = 0
    """Counter: held entries taken over from the process that forked this one."""
    requests: int = 0
    """Counter: requests that were sent, whatever became of them.

    The repetition that a renewed token allows, after a 401, counts with the request it repeats.
    """
    retries: int = 0
    """Counter: requests that repeat an earlier one after a passing failure."""
    swallowed: int = 0
    """Counter: records of forklog's own HTTP work, which are not delivered by design."""
    pending: int = 0
    """Gauge: entries that wait or are under way."""
    pending_bytes: int = 0
    """Gauge: wire bytes of the pending entries."""
    spool: str = "off"
    """Where entries are spooled: a folder, or ``off`` and why."""
    spooled_bytes: int = 0
    """Gauge: pending bytes that wait in the spool's segments.

    What is in flight or set aside outlives the process in the spool too, and is not in it.
    """
    unspooled: int = 0
    """Counter: entries that memory took, because the spool was full, not open yet or not writable.

    Entries that were set aside, or that a uWSGI master holds, of which there is no copy, too. It
    falls again by what the spool takes in later.
    """
    inline_segments: int = 0
    """Counter: segments of the spool that a log call had to make."""
    recovered: int = 0
    """Counter: entries of dead processes that were delivered; ``delivered`` has them, too."""
    torn: int = 0
    """Counter: entries of dead processes that a kill had cut off in the middle of a log call."""
    request_gap: float = 0.0
    """Gauge: seconds between two requests, on average, while a quota refuses some; else 0.

    It may exceed ``max_latency``, up to 60 s, for errors as well.
    """

    def plus(self, earlier: Stats | None) -> Stats:
        """Return the sums of this and of an earlier pipeline of the same process."""
        if earlier is None:
            return self
        changes: dict[str, Any] = {}
        for name in set(self.__slots__) - {"pid", "state", "spool", "request_gap"}:
            mine, other = getattr(self, name), getattr(earlier, name)
            changes[name] = mine + other if isinstance(mine, int) else summed(mine, other)
        return replace(self, **changes)

    def as_dict(self) -> dict[str, int | float | str | dict[str, int]]:
        """Return the numbers as plain values, for JSON or a metrics library."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "diverted": dict(self.diverted), "dropped": dict(self.dropped)}
