"""An exception at every place where CPython can deliver one: the next record is delivered.

A signal handler that raises (a soft time limit, Ctrl-C) strikes where CPython looks for signals in
the main thread; `Strike` raises there instead. Each test steps through all of one action.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from cases import few
from helpers import wait_until
from strike import every_strike

from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


# Struck while a generator that is not used up is closed, it is printed and ignored.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tracing_alone"),
]


class SoftTimeLimit(Exception):  # noqa: N818 - as celery names its own
    """What a signal handler raises and applications catch."""


class Stop(BaseException):
    """What a signal handler raises and applications do not catch, as KeyboardInterrupt."""


KINDS = [SoftTimeLimit, Stop]


class Struck:
    """A handler of its own whose actions are struck, and the check that it lives on."""

    def __init__(self, make: Make, kind: type[BaseException], **options: Any) -> None:
        """Make the handler; it has no pipeline that runs."""
        self.transport = FakeTransport()
        self.logger, self.handler = make(self.transport, **options)
        self._kind = kind
        self._number = itertools.count()

    def strike(self) -> None:
        """Raise, as a signal handler."""
        raise self._kind

    def texts(self) -> set[str]:
        """Return what has arrived."""
        return {entry.get("textPayload", "") for entry in self.transport.entries}

    def act(self, act: Callable[[], object]) -> None:
        """Do it, whatever comes of it: only the exception that struck may come out."""
        try:
            act()
        except (SoftTimeLimit, Stop):
            return

    def check(self, place: str) -> None:
        """Log once more: it is delivered without a flush, nothing is lost, all accounts agree."""
        text = f"next {next(self._number)}"
        self.logger.info(text)
        wait_until(lambda: text in self.texts(), 10, f"{place}: {self.handler.stats()}")
        assert self.handler.flush(10), place
        stats = self.handler.stats()
        assert stats.accepted == stats.delivered + sum(stats.dropped.values()), (place, stats)
        assert not stats.pending, (place, stats)

    def close(self) -> None:
        """Close handler and transport."""
        self.handler.close()
        self.transport.close()

    def idle(self) -> None:
        """Wait until the flush thread sleeps, so that the next record has to wake it."""
        buffer = self.handler._gate.product.buffer
        wait_until(lambda: not len(buffer) and buffer.wake_rank == 0)


@pytest.mark.parametrize("kind", few(KINDS, Stop, mark=pytest.mark.thorough))
def test_the_first_record(make_logger: Make, kind: type[BaseException]) -> None:
    """Struck at any such place, the first record leaves a state from which the next one starts.

    Class of fault: an exception of a signal handler leaves a state from which no later record
    starts; siblings: `test_the_wake_up`, `test_a_flush`, `test_a_close`, `test_an_exit`,
    `test_giving_up`, `test_the_record_that_opens_it`, `test_an_allocation_that_fails`.
    """
    struck: list[Struck] = []
    steps = every_strike(
        lambda: struck[-1].act(lambda: struck[-1].logger.info("struck")),
        lambda: struck[-1].strike(),  # noqa: PLW0108 - another one at each step
        lambda: struck.append(Struck(make_logger, kind, max_latency=0.001)),
    )
    places = set()
    for place in steps:
        struck[-1].check(place)
        struck[-1].close()
        places.add(place.partition(":")[0])
    struck[-1].close()  # CPython may leak a reference where a trace function raises
    assert len(struck) > 100
    assert {"handler.py", "encoder.py", "buffer.py", "starting.py", "thread.py"} <= places


@pytest.mark.parametrize("kind", KINDS)
def test_the_wake_up(make_logger: Make, kind: type[BaseException]) -> None:
    """Struck at any such place of its wake-up, a record leaves the thread wakeable.

    Class of fault: an exception of a signal handler leaves a step half done, and no later record
    does it again; siblings: `test_the_first_record`, `test_records_that_need_a_further_segment`,
    `test_what_waits_in_memory_is_taken_in`.
    """
    struck = Struck(make_logger, kind, max_latency=0.001)

    def act() -> None:
        struck.act(lambda: struck.logger.error("struck"))

    act()  # a later one takes fewer steps: its call site is known
    struck.check("start")
    places = []
    for place in every_strike(act, struck.strike, struck.idle):
        places.append(place)
        struck.check(place)
    assert len(places) > 20
    assert {"buffer.py", "starting.py", "wakeup.py"} <= {p.partition(":")[0] for p in places}
