"""A log call inside a log call of the same thread, at every step that it takes.

So do signal handlers, finalizers and audit hooks. Every record must arrive, once.
"""

from __future__ import annotations

import itertools
import logging
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from cases import few
from helpers import wait_until
from interruption import Interruption, every_step

from forklog import CloudLoggingHandler
from forklog.process.deadlines import exit_deadline
from forklog.testing import FakeTransport, Hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


pytestmark = pytest.mark.usefixtures("tracing_alone")


class Bench:
    """A logger, the texts that were logged, and the check that they arrived."""

    def __init__(self, make: Make, **options: Any) -> None:
        """Make the handler."""
        self.transport = FakeTransport()
        self.logger, self.handler = make(self.transport, **options)
        self.logged: list[str] = []
        self._number = itertools.count()

    def log(self, kind: str, level: int = logging.INFO, **extra: object) -> None:
        """Log a text that occurs once; called by the interruption too."""
        text = f"{kind} {next(self._number)}"
        self.logger.log(level, text, extra=extra or None)
        self.logged.append(text)

    def nested(self) -> None:
        """Log what interrupts."""
        self.log("nested")

    def check(self, place: str = "") -> None:
        """Check that all arrived once and that the accounts add up."""
        assert self.handler.flush(20), (place, self.handler.stats())
        assert self.is_settled(), (place, self.handler.stats(), *self.differences())

    def is_settled(self) -> bool:
        """Tell whether all that was logged has arrived, once, and is accounted for."""
        stats = self.handler.stats()
        counts = {stats.accepted, stats.delivered, len(self.logged)}
        return len(counts) == 1 and Counter(self.texts()) == Counter(self.logged)

    def differences(self) -> tuple[int, Counter[str], Counter[str]]:
        """Return how many were logged, what is missing, and what is too much."""
        texts, logged = Counter(self.texts()), Counter(self.logged)
        return logged.total(), logged - texts, texts - logged

    def texts(self) -> list[str]:
        """Return what has arrived."""
        return [entry["textPayload"] for entry in self.transport.entries]

    def idle(self) -> None:
        """Wait until the flush thread sleeps, so that the next record has to wake it."""
        buffer = self.handler._gate.product.buffer
        wait_until(lambda: not len(buffer) and buffer.wake_rank == 0)


@pytest.mark.thorough
def test_the_first_record(make_logger: Make) -> None:
    """While the pipeline starts its thread, at each bytecode, another record is logged."""
    places = set()
    bench = Bench(make_logger)
    steps = every_step(lambda: bench.log("outer"), lambda: bench.nested(), by_opcode=True)  # noqa: PLW0108 - of each bench
    for place in steps:
        bench.check(place)
        bench.handler.close()
        bench.transport.close()
        places.add(place.partition(":")[0])
        bench = Bench(make_logger)
    assert {"handler.py", "encoder.py", "buffer.py", "starting.py", "worker.py"} <= places


ENCODERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "urgent": {"level": logging.ERROR},
    "full": {"labels": {"a": "b"}, "json_fields": None},
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("state", ["asleep", "lingering"])
def test_a_record_while_the_thread_is(make_logger: Make, state: str, encoder: str) -> None:
    """At each step of a log call another one interrupts it, whatever the flush thread does."""
    bench = Bench(make_logger, max_latency=0.001 if state == "asleep" else 60)
    bench.log("first")
    assert bench.handler.flush(20)
    steps = every_step(
        lambda: bench.log("outer", **ENCODERS[encoder]), bench.nested, by_opcode=encoder != "full"
    )
    while True:
        if state == "asleep":
            bench.idle()
        else:
            bench.log("before")
        if next(steps, None) is None:
            break
    bench.check()
    assert len(bench.logged) > 90


def test_an_overflow(make_logger: Make) -> None:
    """While a full buffer drops, at each bytecode, another record comes and drops as well."""
    bench = Bench(make_logger, max_latency=60, max_buffer_bytes=1024 * 1024)
    bench.transport.then(Hang())
    padding = "x" * 40_000
    for _ in range(60):
        bench.logger.info(padding)
    wait_until(lambda: bench.handler.stats().requests)  # it hangs; nothing moves but by overflow
    before = bench.handler.stats()
    assert before.dropped["buffer_full"]
    steps = every_step(
        lambda: bench.logger.info(padding), lambda: bench.logger.info(padding), by_opcode=True
    )
    count = sum(1 for _ in steps)
    stats = bench.handler.stats()
    assert stats.accepted == before.accepted + 2 * count + 1
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending
    assert stats.pending_bytes <= 1024 * 1024 + 2 * 41_000
    bench.transport.release()


@pytest.mark.parametrize(
    "act", few(["flush", "stats", "close"], "flush", "stats", mark=pytest.mark.thorough)
)
def test_a_record_inside_another_call(make_logger: Make, act: str) -> None:
    """A record that interrupts flush(), stats() or close() at any line arrives; nothing hangs."""
    bench = Bench(make_logger, max_latency=0.001)
    took = [0.0]

    def run() -> None:
        bench.log("outer")
        began = time.monotonic()
        getattr(bench.handler, act)()
        took[0] = time.monotonic() - began

    count = 0
    for place in every_step(run, bench.nested, by_opcode=False):
        count += 1
        # Once a close has dropped what it was to deliver, on a busy machine, and never again since.
        deadline = vars(exit_deadline())
        assert bench.handler.flush(20), (place, count, took, bench.handler.stats(), deadline)
    assert bench.handler.flush(20)
    assert Counter(bench.texts()) == Counter(bench.logged)
    assert count > 50


@pytest.mark.thorough
def test_a_record_inside_the_flush_thread(make_logger: Make) -> None:
    """A finalizer that logs may run at any line of the flush thread, its locks held."""
    for step in itertools.count(1):
        bench = Bench(make_logger)
        interruption = Interruption(step, bench.nested, by_opcode=False)
        threading.settrace(interruption.trace)
        try:
            bench.log("outer")
            assert bench.handler.flush(20), interruption.place
            wait_until(bench.is_settled, 20, interruption.place)  # what came after the flush, too
            bench.handler.close()
        finally:
            threading.settrace(None)  # type: ignore[arg-type]
        bench.handler.close()  # what was logged by the thread as it ended
        assert Counter(bench.texts()) == Counter(bench.logged), interruption.place
        if not interruption.place:
            break
    assert step > 100


@pytest.fixture
def alarms() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Return a function that has a call made by a signal handler, thousands of times a second."""
    before = signal.getsignal(signal.SIGVTALRM)

    def start(call: Callable[[], object]) -> None:
        signal.signal(signal.SIGVTALRM, lambda *_: call())
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0001, 0.0001)

    yield start
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def _end_alarms() -> None:
    """Have no handler run any more, also of a signal that another thread has just been given.

    A thread of xdist takes them as well, and Python runs the handler in the main thread later.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, signal.SIG_IGN)


def test_real_signals(make_logger: Make, alarms: Callable[[Callable[[], object]], None]) -> None:
    """The handler of a real signal logs, hundreds of times, while the main thread logs."""
    bench = Bench(make_logger)
    caught: list[int] = []
    alarms(lambda: caught.append(bench.nested()))  # type: ignore[func-returns-value]
    while len(caught) < 100:
        bench.log("outer")
    _end_alarms()
    bench.check()
