"""Step 9, the numbers: reads counters and gauges of one pipeline's parts into a snapshot."""

from __future__ import annotations

from types import MappingProxyType

from forklog.buffer import Buffer
from forklog.driver import Driver
from forklog.flusher import Flusher
from forklog.stats import Stats

__all__ = ["snapshot"]


def snapshot(
    buffer: Buffer, flusher: Flusher, driver: Driver, *, pid: int, state: str, **counters: int
) -> Stats:
    """Return the numbers of one instant. Blocks for memory work only; not for signal handlers."""
    ledger = flusher.ledger
    with ledger.lock:
        shed, waiting = buffer.shed.value(), len(buffer) + buffer.count_aside()
        dropped = dict(ledger.dropped)
        if shed > driver.sheds.told:
            untold = shed - driver.sheds.told
            dropped["buffer_full"] = dropped.get("buffer_full", 0) + untold
        unencoded = buffer.unencoded - driver.sheds.told_unencoded
        if unencoded:
            dropped["encode"] = dropped.get("encode", 0) + unencoded
        return Stats(
            pid=pid,
            state=state,
            accepted=ledger.taken + unencoded + shed + waiting,
            delivered=ledger.delivered,
            diverted=MappingProxyType(dict(ledger.diverted)),
            dropped=MappingProxyType(dropped),
            requests=ledger.requests,
            retries=ledger.retries,
            pending=waiting + flusher.in_hand(),
            pending_bytes=buffer.bytes,
            **counters,
        )
