"""What all tests share: the emulator, and a watch on threads and descriptors that stay behind."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import hypothesis.strategies
import pytest

from forklog import CloudLoggingHandler
from forklog.emulator.process import Emulator
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from forklog.transports.base import Transport

sys.path.insert(0, str(Path(__file__).parent / "support"))  # test folders are no packages

# A shell starts background jobs with Ctrl-C ignored, and what the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example has a deadline: the machine may be busy, and pytest-timeout bounds a test as a whole.
hypothesis.settings.register_profile(
    "forklog", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("forklog")

pytest_plugins = ["forklog.testing.plugin", "pytester"]

_SLOW_FIRST = (
    *("reentrancy", "servers", "spool", "fork", "frameworks", "wire", "emulator"),
    *("tail", "diagnosis", "demo", "unit"),
)
_PATIENCE_SECONDS = 20.0
_OURS = ("socket:", "pipe:", "/memfd:")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have no more lanes collect at once than there are processors.

    In a fresh clone the first ones rewrite each assertion, and the others read what they wrote.
    """
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    lanes_at_once = min(os.cpu_count() or 1, len(_SLOW_FIRST))
    turn = os.open(Path(__file__).parent / _SLOW_FIRST[lane % lanes_at_once], os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(turn, fcntl.LOCK_EX)
        return (yield)
    finally:
        os.close(turn)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose files take long: else one lane ends minutes after the others."""

    def rank(item: pytest.Item) -> int:
        folders = item.nodeid.partition("::")[0].split("/")
        return next((_SLOW_FIRST.index(name) for name in folders if name in _SLOW_FIRST), 99)

    items.sort(key=rank)


@hypothesis.given(hypothesis.strategies.none())
def _hypothesis_begins(_: None) -> None:
    """Have Hypothesis make all that it keeps for a process."""


def pytest_collection_finish() -> None:
    """Have each later collection of garbage leave out what pytest made of the tests.

    That is a million objects; a fourth of the CPU time of the tests in one process went there.
    Hypothesis makes its generator of random numbers at the first property, and asks the collector
    who holds it: what is frozen is no answer.
    """
    _hypothesis_begins()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Emulator]:
    """One emulator process for the whole run."""
    with Emulator.start() as emulator:
        yield emulator


@pytest.fixture
def emulator(running_emulator: Emulator) -> Emulator:
    """Return the emulator, empty and without faults."""
    running_emulator.clear_faults()
    running_emulator.reset()
    return running_emulator


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have no garbage collected: other tests' finalizers raise in a parser of a deep answer."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def tracing_alone() -> Iterator[None]:
    """Have no thread traced but by the test, and none that outlives it.

    Python 3.12 dies of a segmentation fault where coverage follows the flush thread through code
    that the main thread traces by bytecode.
    """
    main, others = sys.gettrace(), threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    threading.settrace(others)  # type: ignore[arg-type]
    sys.settrace(main)


@pytest.fixture
def make_logger(
    forklog_transport: FakeTransport,
) -> Iterator[Callable[..., tuple[logging.Logger, CloudLoggingHandler]]]:
    """Return a function that makes a handler and a logger of its own; closed after the test."""
    made: list[CloudLoggingHandler] = []

    def make(
        transport: Transport | None = None, **options: Any
    ) -> tuple[logging.Logger, CloudLoggingHandler]:
        given = {"project": "p", "max_latency": 0.01, "last_resort": "none", **options}
        wire = None if "endpoint" in given else transport or forklog_transport
        handler = CloudLoggingHandler(transport=wire, **given)
        logger = logging.Logger(f"test-{len(made)}", logging.DEBUG)  # noqa: LOG001 - leaves no trace
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler

    yield make
    forklog_transport.release()
    for handler in made:
        handler._options = dataclasses.replace(handler._options, shutdown_timeout=0.2)
        handler.close()
        wire = handler.describe().transport
        if isinstance(wire, FakeTransport):
            wire.close()  # Python 3.14 and 3.15 hold the frames of some tests for longer
    made.clear()  # pytest holds `make` for longer, and with it what belongs to the handlers


@pytest.fixture(autouse=True)
def _nothing_stays_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread of forklog, a socket, a pipe or an unlinked file behind."""
    before = _descriptors()
    yield
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := [*_threads(), *sorted(_descriptors() - before)]:
        gc.collect()  # a request may hang in a cycle of its traceback
        if time.monotonic() > deadline:
            pytest.fail(f"{request.node.name} left behind: {left}")
        time.sleep(0.02)


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("forklog")]


def _descriptors() -> set[str]:
    """Return what the process has open that a forklog could have opened."""
    found = set()
    for number in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            name = str(number.readlink())
        except OSError:
            continue
        if name.startswith(_OURS) or name.endswith("(deleted)"):
            found.add(name)
    return found
