"""How long a fork is held up: by all handlers together no longer than by one."""

from __future__ import annotations

import pytest
from helpers import check_python

_STATES = {
    "in a request": ("Hang()", 0.03),
    "in on_drop": ("Fail(400)", 0.03),
    "idle, without a processor": ("Deliver()", 1.0),
}
"""What the transport does, and for how many seconds a fork waits at most."""


@pytest.mark.parametrize("state", _STATES)
def test_the_number_of_handlers_does_not_prolong_a_fork(state: str) -> None:
    """Fifty flush threads hold a fork up for as long as one: 0.02 s if they are busy, else 1 s.

    The seconds that all waits are given are added up, so it does not matter how busy a machine is.

    Closes the class: a bound for each handler in turn, or a shortest wait for each.
    """
    outcome, most = _STATES[state]
    check_python(
        f"""
import logging, os, threading, time
import forklog
from forklog.process import fork_hooks as forking
from forklog.testing import Deliver, Fail, FakeTransport, Hang
from forklog.turn import EndEvent

class NeverComes(EndEvent):
    def wait(self, timeout):
        given.append(max(0.0, timeout))
        return super().wait(timeout)

given, inside, over = [], [], threading.Event()
def on_drop(_entries, _reason):
    inside.append(1)
    over.wait(60)

log = logging.getLogger("forking")
log.handlers = [forklog.CloudLoggingHandler(
    transport=FakeTransport({outcome}), max_latency=0.01, on_drop=on_drop) for _ in range(50)]
log.warning("one each")
while sum(handler.stats().requests for handler in log.handlers) < 50:
    time.sleep(0.001)
while {outcome!r} == "Fail(400)" and len(inside) < 50:
    time.sleep(0.001)
if {outcome!r} == "Deliver()":
    assert all(handler.flush(60) for handler in log.handlers)
for handler in log.handlers:
    handler._gate.product.worker.thread.ended = NeverComes()
forking._VERSION = (3, 12)  # where a fork waits for flush threads
forking._before()
assert len(given) >= 50
assert sum(given) < {most}, sum(given)
os._exit(DONE)
""",
        100,
        is_covered=False,
    )
