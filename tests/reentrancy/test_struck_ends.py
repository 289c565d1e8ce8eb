"""A signal handler that raises at every place of a flush, a close, an exit, or of giving up.

`Strike` steps through them on every Python. Where nothing else is noted the pipeline has no thread.
So the whole pass runs in the thread that is struck: take, send, book, give up. No entry is lost or
counted twice; the server may get one twice, under one insertId. No lock stays held, logging's own
included, which `dictConfig` holds while it flushes and closes handlers.

The class of faults that these tests close is a state that is half set. It is that of a lock, a
turn, a thread's ident, or a handler of a signal. Siblings that were found: logging's lock was gone,
or came back when the garbage was collected. That was where a context manager's ``__exit__`` was
struck as it began.
"""

from __future__ import annotations

import gc
import json
import logging
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers import check_python
from host import FakeHost
from strike import every_strike

from forklog.delivery.lifecycle import State
from forklog.delivery.passes import NO_THREAD
from forklog.delivery.pipeline import Pipeline
from forklog.encoding.lenient import drop_notice
from forklog.options import Options
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tracing_alone"),
]
_LOGGED = 3
_LOCK: Any = logging._lock  # type: ignore[attr-defined]


class Stop(BaseException):
    """What the signal handler raises."""


def _stop(_number: int, _frame: object) -> None:
    raise Stop


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """Have a handler that raises, which forklog may hold back as that of any signal."""
    before = signal.signal(signal.SIGUSR1, _stop)
    gc.collect()
    gc.disable()  # what is collected would be struck, too
    yield
    gc.enable()
    signal.signal(signal.SIGUSR1, before)


def _strike() -> None:
    """Run the handler that is set for the signal just now, as CPython does."""
    handler = signal.getsignal(signal.SIGUSR1)
    assert callable(handler)
    handler(signal.SIGUSR1, None)


class _Bench:
    """A pipeline with entries of two severities that wait, and what is done with it."""

    def __init__(self, lost: Path, *, has_thread: bool = False) -> None:
        self.host = FakeHost()
        self.host.threads = has_thread
        self.transport = FakeTransport()
        options = Options(project="p", last_resort=str(lost), max_latency=60, max_retry_delay=0.01)
        notice = partial(drop_notice, shared={})
        self.pipeline = Pipeline(options, self.transport, notice, self.host)
        self.pipeline.begin()
        self.lost = lost
        self.keys: set[str] = set()
        for number in range(_LOGGED):
            self.log(2 + number % 2)

    def log(self, rank: int) -> None:
        """Offer an entry."""
        entry = self.pipeline.opening() + b'","textPayload":"x"}'
        self.keys.add(json.loads(entry)["insertId"])
        self.pipeline.offer(rank, entry)

    def check_accounts(self, place: str) -> None:
        """Each entry is in one place, no lock or turn is held, the handler is where it was."""
        pipeline = self.pipeline
        stats = pipeline.stats()
        settled = stats.delivered + sum(stats.diverted.values())
        assert stats.accepted == settled + stats.pending >= len(self.keys), (place, stats)
        assert pipeline.sender.ledger.lock.is_free(), place
        assert not pipeline._start_turn, place
        assert not pipeline.worker.is_own_thread(), place
        assert signal.getsignal(signal.SIGUSR1) is _stop, place
        if not self.host.threads:
            assert not pipeline.sender._sending, place
            assert pipeline.worker.thread_ident == NO_THREAD, place

    def check_all_settled(self, place: str) -> None:
        """Each entry was counted once, and is at the server or in the last resort's file.

        Where some are in the file, the log gets a notice of that, which is an entry more. A thread
        that lives on may be about to send it.
        """
        stats = self.pipeline.stats()
        written = stats.diverted.get("file", 0)
        assert stats.pending <= (written > 0 and self.host.threads), (place, stats)
        assert bool(stats.pending) == bool(stats.pending_bytes), (place, stats)
        assert stats.delivered + written + stats.pending == stats.accepted, (place, stats)
        assert len(self.keys) <= stats.accepted <= len(self.keys) + (written > 0), (place, stats)
        stored = {entry["insertId"] for entry in self.transport.entries}
        lines = self.lost.read_text().splitlines() if self.lost.exists() else []
        assert len(stored) >= stats.delivered, (place, stats)
        assert self.keys <= stored | {json.loads(line)["insertId"] for line in lines}, place

    def end(self) -> None:
        """Close the pipeline and the transport."""
        self.pipeline.close()
        self.transport.close()


def _benches(
    folder: Path, act: Callable[[_Bench], object], *, has_thread: bool = False
) -> Iterator[tuple[str, _Bench]]:
    """Yield each place with a bench whose act was struck there, within logging's own lock."""
    benches: list[_Bench] = []

    def prepare() -> None:
        path = folder / f"lost{len(benches)}"
        benches.append(_Bench(path, has_thread=has_thread))

    def struck() -> None:
        try:
            with _LOCK:
                act(benches[-1])
        except Stop:
            return

    for place in every_strike(struck, _strike, prepare):
        bench = benches[-1]
        assert not _LOCK._is_owned(), place
        yield place, bench
        assert not _LOCK._is_owned(), place
        bench.end()
    benches[-1].end()


@pytest.mark.thorough
@pytest.mark.parametrize("has_thread", [False, True])
def test_a_flush(tmp_path: Path, *, has_thread: bool) -> None:
    """What was struck is pending or settled; the next flush settles it and all accounts agree."""
    count = 0
    flush: Callable[[_Bench], object] = lambda bench: bench.pipeline.flush(5.0)  # noqa: E731
    for place, bench in _benches(tmp_path, flush, has_thread=has_thread):
        count += 1
        bench.check_accounts(place)
        bench.log(2)
        assert bench.pipeline.flush(20.0), (place, bench.pipeline.stats())
        bench.check_all_settled(place)
        assert bench.pipeline.stats().delivered == len(bench.keys), place
    assert count > 40


@pytest.mark.thorough
@pytest.mark.parametrize("has_thread", [False, True])
def test_a_close(tmp_path: Path, *, has_thread: bool) -> None:
    """A close that was struck leaves the pipeline open or closed; the exit settles what is left.

    It closes the fault of a close that gave everything up at the first signal handler that raised.
    """
    count = open_ones = 0
    close: Callable[[_Bench], object] = lambda bench: bench.pipeline.close(5.0)  # noqa: E731
    for place, bench in _benches(tmp_path, close, has_thread=has_thread):
        count += 1
        bench.check_accounts(place)
        if bench.pipeline.state is not State.CLOSED:
            open_ones += 1
            assert bench.pipeline.mark[0], place
            if count % 2:
                bench.host.end(20.0)
            else:
                bench.pipeline.close()  # again, as logging.shutdown does
        bench.check_all_settled(place)
    assert count > open_ones > 40


@pytest.mark.thorough
def test_giving_up(tmp_path: Path) -> None:
    """Entries that are being given up are pending until they are written, whatever strikes."""
    count = 0
    give_up: Callable[[_Bench], object] = lambda b: b.pipeline.sender.give_up("shutdown")  # noqa: E731
    for place, bench in _benches(tmp_path, give_up):
        count += 1
        bench.check_accounts(place)
        bench.pipeline.sender.give_up("shutdown")
        bench.check_all_settled(place)
    assert count > 30


_EXIT = """
import gc, sys
sys.path[:0] = {folders!r}
import test_struck_ends as struck
from pathlib import Path
from forklog.process import deadlines, exit_hooks
from strike import every_strike
import signal

signal.signal(signal.SIGUSR1, struck._stop)
gc.disable()
benches = []
def prepare():
    deadlines._renew()
    benches.append(struck._Bench(Path({folder!r}, f"lost{{len(benches)}}"), has_thread={thread}))
has_raised = []
def leave():  # it does not raise: an exit callback would print that
    try:
        exit_hooks.flush_at_exit([benches[-1].pipeline])
    except struck.Stop:
        has_raised.append(True)
count = 0
for place in every_strike(leave, struck._strike, prepare):
    count += 1
    if has_raised:  # but where it begins; the next hook, as logging.shutdown, does its work
        assert place.endswith(" flush_at_exit call"), place
        has_raised.clear()
        leave()
    benches[-1].check_accounts(place)
    benches[-1].check_all_settled(place)
    deadlines._renew()
    benches[-1].end()
assert count > 40, count
"""


@pytest.mark.thorough
@pytest.mark.parametrize("has_thread", [False, True])
def test_an_exit(tmp_path: Path, *, has_thread: bool) -> None:
    """The hook of an exit that is struck raises nothing, and settles all there and then."""
    tests = Path(__file__).parents[1]
    folders = [str(tests / "support"), str(tests / "reentrancy")]
    check_python(
        _EXIT.format(folders=folders, folder=str(tmp_path), thread=has_thread),
        timeout=100,
        is_covered=False,  # another profile or trace function takes the place of ours
    )


def test_where_cpython_runs_signal_handlers() -> None:
    """Between two bytecodes without a call no handler runs: what traces find there is none.

    So no exception comes between a call and the end of the block that it ends. `Strike` leaves out
    what a trace by bytecode finds there: between the last pass and the line that puts
    ``thread_ident`` back (`pass_inline`), and before ``del self._sending[TURN]``.
    """
    check_python(
        """
        import signal
        lines = "".join(" a = b\\n" for _ in range(100_000))
        names = {}
        exec("def straight():\\n b = 1\\n" + lines, names)
        seen = []
        def note(_number, frame):
            seen.append((frame.f_code.co_name, frame.f_lineno > 1))  # line 1 is the entry
        signal.signal(signal.SIGVTALRM, note)
        # Again and again by itself: on a fast Python one call is over before the first is due.
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.002, 0.002)
        while len(seen) < 3:
            names["straight"]()
            assert ("straight", True) not in seen
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        """,
        is_covered=False,
    )
