"""A handler's own `flush` and `close`, the exit, and a pass over HTTP, struck at each place.

What strikes is a signal handler's exception, or a MemoryError, which any allocation may raise. From
CPython 3.12 on the allocator cannot be made to fail in a test, see `test_no_memory.py`. There these
tests alone show that no MemoryError leaves a lock held or a thread behind, nor stops later records.

A `close` ends with `logging.Handler.close`. Struck there, it may leave logging's own lock held. The
`close` of any other handler has the same places: `_OF_LOGGING` lists them.
"""

from __future__ import annotations

import gc
import json
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from host import FakeHost
from strike import every_strike

from forklog.delivery.pipeline import Pipeline
from forklog.encoding.lenient import drop_notice
from forklog.options import Options
from forklog.process import deadlines, exit_hooks
from forklog.testing import FakeTransport
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog import CloudLoggingHandler
    from forklog.emulator.process import Emulator

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tracing_alone"),
]
_LOCK: Any = logging._lock  # type: ignore[attr-defined]
_OF_LOGGING = {"_acquireLock acquire", "close _acquireLock", "_releaseLock call", "close __enter__"}
"""Where the lock has been taken and the `try` has not begun, and where `finally` gives it back.

The last is that of a `with` statement, before its block: from CPython 3.14 on.
"""


class Stop(BaseException):
    """What a signal handler raises and applications do not catch, as KeyboardInterrupt."""


def _stop(*_: object) -> None:
    raise Stop


def _by_signal() -> None:
    """Run the handler that is set for the signal just now; forklog may hold it back."""
    handler = signal.getsignal(signal.SIGUSR1)
    assert callable(handler)
    handler(signal.SIGUSR1, None)


def _without_memory() -> None:
    """Fail as an allocation, which nothing can hold back."""
    raise MemoryError


_WAYS = {"a signal handler": _by_signal, "no memory": _without_memory}


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """Have a handler that raises, and collect no garbage: finalizers would be struck, too."""
    before = signal.signal(signal.SIGUSR1, _stop)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGUSR1, before)


class _Struck:
    """A handler with records that wait, and the check that it has lost none and lives on."""

    def __init__(self, make: Make) -> None:
        self.transport = FakeTransport()
        self.logger, self.handler = make(self.transport, max_latency=60)
        self.logger.info("one")
        assert self.handler.flush(20)
        self.logger.info("two")

    def check(self, place: str) -> None:
        """Log once more: all three are delivered, once, and all accounts agree."""
        self.logger.info("next")
        has_settled = self.handler.flush(20) or self.handler.flush(20)
        stats = self.handler.stats()
        assert has_settled, (place, stats)
        assert not stats.pending, (place, stats)
        assert stats.accepted == stats.delivered == 3, (place, stats)
        shown = {entry["insertId"]: entry["textPayload"] for entry in self.transport.entries}
        assert sorted(shown.values()) == ["next", "one", "two"], place

    def end(self) -> None:
        """Close handler and transport."""
        self.handler.close()
        self.transport.close()


def _strikes(
    make: Make, strike: Callable[[], object], act: Callable[[CloudLoggingHandler], object]
) -> Iterator[tuple[str, _Struck]]:
    """Yield each place with what was struck there; only what struck may come out."""
    made: list[_Struck] = []

    def struck() -> None:
        try:
            act(made[-1].handler)
        except (Stop, MemoryError):
            return

    for place in every_strike(struck, strike, lambda: made.append(_Struck(make))):
        yield place, made[-1]
        made[-1].end()
    made[-1].end()


@pytest.mark.parametrize("way", _WAYS)
def test_a_flush_of_a_handler(make_logger: Make, way: str) -> None:
    """Struck at any place, a flush loses nothing, holds no lock, and the next one settles all.

    Class of fault: a state that an exception leaves half set; siblings: those of
    `test_struck_ends.py`, whose pipeline stands alone.
    """
    count = 0
    for place, struck in _strikes(make_logger, _WAYS[way], lambda handler: handler.flush(20)):
        count += 1
        assert not _LOCK._is_owned(), place
        struck.check(place)
    assert count > 40


@pytest.mark.parametrize("way", _WAYS)
def test_a_close_of_a_handler(make_logger: Make, way: str) -> None:
    """Struck at any place, a close holds no lock but at `_OF_LOGGING`, and leaves no thread behind.

    Class of fault: as in `test_a_flush_of_a_handler`, and a thread of a pipeline that is closed.
    """
    count = 0
    held = set()
    for place, struck in _strikes(make_logger, _WAYS[way], lambda handler: handler.close()):
        count += 1
        while _LOCK._is_owned():
            held.add(place.partition(" ")[2])
            _LOCK.release()
        struck.check(place)
    assert count > 100
    assert held <= _OF_LOGGING


def test_a_pass_over_http(emulator: Emulator) -> None:
    """Without a thread the wire is struck too: no entry is lost, and the next flush settles all.

    Class of fault: a connection, or a deadline of it, that an exception leaves half made.
    """
    host = FakeHost()
    host.threads = False
    options = Options(
        project="p", endpoint=emulator.url, last_resort="none", max_latency=60, max_retry_delay=0.01
    )
    transport = HttpTransport(options, lambda _project: None)
    pipeline = Pipeline(options, transport, partial(drop_notice, shared={}), host)
    pipeline.begin()
    logged: set[str] = set()

    def log() -> None:
        entry = pipeline.opening() + b'","textPayload":"x"}'
        logged.add(json.loads(entry)["insertId"])
        pipeline.offer(2, entry)

    def flush() -> None:
        try:
            pipeline.flush(20)
        except Stop:
            return

    log()
    assert pipeline.flush(20)
    count = 0
    for place in every_strike(flush, _by_signal, log):
        count += 1
        log()
        assert pipeline.flush(20), (place, pipeline.stats())
        stats = pipeline.stats()
        assert not stats.pending, (place, stats)
        assert stats.accepted == stats.delivered, (place, stats)
    pipeline.close()
    assert count > 500
    assert logged <= {entry["insertId"] for entry in emulator.entries()}


def test_an_exit_without_memory() -> None:
    """A MemoryError at any place of an exit comes out of no hook, and the last resort has the rest.

    Class of fault: as in `test_struck_ends.py::test_an_exit`, whose exception a signal handler
    raises, which forklog can hold back.
    """
    made: list[tuple[FakeTransport, Pipeline]] = []

    def prepare() -> None:
        host = FakeHost()
        host.threads = False
        transport = FakeTransport()
        options = Options(project="p", last_resort="none", max_latency=60, max_retry_delay=0.01)
        pipeline = Pipeline(options, transport, partial(drop_notice, shared={}), host)
        pipeline.begin()
        for _ in range(3):
            pipeline.offer(2, pipeline.opening() + b'","textPayload":"x"}')
        deadlines._renew()
        made.append((transport, pipeline))

    def leave() -> None:
        try:
            exit_hooks.flush_at_exit([made[-1][1]])
        except MemoryError:
            raised.append(True)

    raised: list[bool] = []
    count = 0
    for place in every_strike(leave, _without_memory, prepare):
        count += 1
        transport, pipeline = made[-1]
        if raised:  # where it begins; the next hook does the work
            assert place.endswith(" flush_at_exit call"), place
            raised.clear()
            leave()
        stats = pipeline.stats()
        assert not stats.pending, (place, stats)
        settled = stats.delivered + sum(stats.dropped.values()) + sum(stats.diverted.values())
        assert stats.accepted == settled, (place, stats)
        deadlines._renew()
        pipeline.close()
        transport.close()
    deadlines._renew()
    assert count > 40
