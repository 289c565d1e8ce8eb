"""The accounts of a handler, whatever is done to it in whatever order."""

from __future__ import annotations

import logging
import re
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forklog import CloudLoggingHandler
from forklog.testing import Deliver, Disconnect, Fail, FakeTransport, Outcome, Refuse, Request

_OUTCOMES = st.one_of(
    st.builds(Deliver, times=st.integers(1, 3)),
    st.builds(Fail, status=st.sampled_from([400, 413, 429, 500, 503]), retry_after=st.just(0.01)),
    st.builds(Refuse, index=st.integers(0, 4), code=st.sampled_from([3, 7])),
    st.builds(Disconnect, is_stale=st.booleans(), is_stored=st.booleans()),
)


class Accounts(RuleBasedStateMachine):
    """Log, flush, close and let the server fail; add up after each step."""

    def __init__(self) -> None:
        """Make a handler whose wire is scripted."""
        super().__init__()
        self.transport = FakeTransport()
        self.dropped: list[bytes] = []
        self.handler = CloudLoggingHandler(
            transport=self.transport,
            max_latency=0.0,
            max_retry_delay=0.02,
            max_buffer_bytes=2**20,
            shutdown_timeout=5.0,
            last_resort="none",
            on_drop=lambda entries, _reason: self.dropped.extend(entries),
        )
        self.logged: set[str] = set()

    @rule(level=st.sampled_from([10, 20, 40]), size=st.sampled_from([0, 10, 30_000]))
    def log(self, level: int, size: int) -> None:
        """Log a record that can be told from all others."""
        name = str(len(self.logged))
        self.logged.add(name)
        text = f"{name}:{'x' * size}"
        self.handler.handle(logging.makeLogRecord({"msg": text, "levelno": level}))

    @rule(count=st.integers(1, 60))
    def flood(self, count: int) -> None:
        """Log much at once."""
        for _ in range(count):
            self.log(10, 30_000)

    @rule(outcome=_OUTCOMES)
    def trouble(self, outcome: Outcome) -> None:
        """Let the server do something next."""
        self.transport.then(outcome)

    @precondition(lambda self: self.logged)
    @rule()
    def flush(self) -> None:
        """Flush: all is settled."""
        assert self.handler.flush(20)

    @rule()
    def close(self) -> None:
        """Close: nothing is pending; the next record starts again."""
        self.handler.close()
        stats = self.handler.stats()
        assert (stats.pending, stats.pending_bytes) == (0, 0)

    @invariant()
    def adds_up(self) -> None:
        """Every accepted entry is delivered, dropped or pending."""
        stats = self.handler.stats()
        assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending

    def teardown(self) -> None:
        """At the end each record was stored or dropped, and dropped ones were told."""
        self.handler.close()
        entries = [line for request in self.transport.sent for line in _kept(request)]
        missing = self.logged - set(map(_name, [*entries, *self.dropped]))
        self.transport.close()
        assert not missing


def _kept(request: Request) -> list[bytes]:
    return [request.lines[index] for index in request.kept]


def _name(entry: bytes) -> str:
    """Return what tells a record from all others; searching is cheaper than parsing it."""
    found = re.search(rb'"textPayload":"([^:"]*)', entry)
    return found[1].decode() if found else ""


Accounts.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAccounts: Any = Accounts.TestCase
TestAccounts.__doc__ = "After any sequence of events the numbers add up and no record is missing."
