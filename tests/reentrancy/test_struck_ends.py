"""An exception at every place where CPython looks for signals while entries are given up.

Without a thread, so that the whole pass runs in the thread that is struck: take, send, book, give
up. No entry is lost or counted twice; the server may get one twice, under one insertId.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
from host import FakeHost
from interruption import every_step

from forklog.delivery.lifecycle import State
from forklog.delivery.pipeline import Pipeline
from forklog.encoding.lenient import drop_notice
from forklog.options import Options
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tracing_alone"),
]
_LOGGED = 3


class Stop(BaseException):
    """What the signal handler raises."""


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """Have a handler that raises, which forklog may hold back as that of any signal."""

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, before)


def _strike() -> None:
    """Run the handler that is set for the signal just now, as CPython does."""
    handler = signal.getsignal(signal.SIGUSR1)
    assert callable(handler)
    handler(signal.SIGUSR1, None)


class _Bench:
    """A pipeline without a thread, with entries of two severities that wait."""

    def __init__(self, lost: Path, *, blocked: bool = False) -> None:
        self.host = FakeHost()
        self.host.threads = False
        self.transport = FakeTransport()
        options = Options(project="p", last_resort=str(lost), shutdown_timeout=5.0)
        notice = partial(drop_notice, shared={})
        self.pipeline = Pipeline(options, self.transport, notice, self.host)
        self.pipeline.begin()
        self.lost = lost
        self._size_before = lost.stat().st_size if lost.exists() else 0
        for number in range(_LOGGED):
            self.log(2 + number % 2)
        assert blocked or self.pipeline.state is State.INLINE

    def log(self, rank: int) -> None:
        """Offer an entry."""
        self.pipeline.offer(rank, self.pipeline.opening() + b'","textPayload":"x"}')

    def check_all_settled(self, logged: int, place: str) -> None:
        """Each entry was counted once, and is at the server or in the last resort's file."""
        stats = self.pipeline.stats()
        assert (stats.accepted, stats.pending) == (logged, 0), (place, stats)
        assert stats.delivered + stats.diverted.get("file", 0) == logged, (place, stats)
        stored = {entry["insertId"] for entry in self.transport.entries}
        lines = self.lost.read_bytes().splitlines() if self.lost.exists() else []
        assert len(stored) >= stats.delivered, place
        assert len(stored) + len(lines) >= logged, place


def _steps(act: Callable[[], object]) -> Iterator[str]:
    def struck() -> None:
        try:
            act()
        except Stop:
            return

    return every_step(struck, _strike, by_opcode=True, for_signals=True)


def test_giving_up(tmp_path: Path) -> None:
    """Entries that are being given up are pending until they are written, whatever strikes."""
    bench = [_Bench(tmp_path / "lost0")]
    count = 0
    for place in _steps(lambda: bench[-1].pipeline.sender.give_up("shutdown")):
        count += 1
        now = bench[-1]
        stats = now.pipeline.stats()
        settled = stats.delivered + sum(stats.diverted.values())
        assert stats.accepted == settled + stats.pending == _LOGGED, (place, stats)
        now.pipeline.sender.give_up("shutdown")
        now.check_all_settled(_LOGGED, place)
        bench[:] = [_Bench(tmp_path / f"lost{count}")]
    assert count > 30
