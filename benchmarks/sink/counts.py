"""Counts what arrived at one port of the sink, and lets orders of the runner wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any


class Counts:
    """Requests, records and bytes of one port, and whoever waits for a number of records."""

    def __init__(self, delay: float) -> None:
        """Start at zero; `delay` is the latency of each answer in seconds."""
        self.delay = delay
        self.requests = self.records = self.bytes = 0
        self.last_at = 0.0
        self._waiters: list[tuple[int, asyncio.Event]] = []

    def add(self, *, requests: int = 0, records: int = 0, size: int = 0) -> None:
        """Count what has just arrived."""
        self.requests += requests
        self.bytes += size
        if records:
            self.records += records
            self.last_at = time.monotonic()
            for wanted, event in self._waiters:
                if self.records >= wanted:
                    event.set()

    async def wait(self, records: int, timeout: float) -> None:
        """Return once so many records have arrived, or after `timeout` seconds."""
        event = asyncio.Event()
        waiter = records, event
        self._waiters.append(waiter)
        self.add(records=0)
        if self.records < records:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(event.wait(), timeout)
        self._waiters.remove(waiter)

    def snapshot(self) -> dict[str, Any]:
        """Return the counts; `cpu` are the seconds that the whole sink has used so far."""
        return {
            "requests": self.requests,
            "records": self.records,
            "bytes": self.bytes,
            "last_at": self.last_at,  # CLOCK_MONOTONIC, the same in all processes
            "now": time.monotonic(),
            "cpu": time.process_time(),
        }
