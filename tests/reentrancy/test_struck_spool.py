"""With a spool, an exception at every place where CPython can deliver one: nothing lost or twice.

What a log call has returned from is delivered, what was struck is delivered once or not at all. The
next record is spooled again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import few
from helpers import wait_until
from strike import every_strike

from forklog import CloudLoggingHandler
from forklog.process.host import ThisProcess
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("tracing_alone"),
]
ROLLED = 30_000
"""Bytes of a record: the first segment of a process holds two of them."""


class SoftTimeLimit(Exception):  # noqa: N818 - as celery names its own
    """What a signal handler raises and applications catch."""


class Stop(BaseException):
    """What a signal handler raises and applications do not catch, as KeyboardInterrupt."""


class Struck:
    """A handler with a spool of its own whose actions are struck, and what it has to deliver."""

    def __init__(
        self, make: Make, folder: Path, kind: type[BaseException], max_latency: float = 0.001
    ) -> None:
        """Make the handler; its spool is not open."""
        self.folder, self._kind = folder, kind
        self.transport = FakeTransport()
        self.logger, self.handler = make(self.transport, max_latency=max_latency, spool=str(folder))
        self._number = itertools.count()
        self.returned: set[str] = set()

    def strike(self) -> None:
        """Raise, as a signal handler."""
        raise self._kind

    def log(self, size: int = 0) -> None:
        """Log, and note that the call has returned."""
        text = f"{next(self._number)} {'x' * size}"
        self.logger.info(text)
        self.returned.add(text)

    def act(self, act: Callable[[], object]) -> None:
        """Do it, whatever comes of it: only the exception that struck may come out."""
        before = set(self.returned)
        try:
            act()
        except (SoftTimeLimit, Stop):
            return
        if self._kind is SoftTimeLimit:  # in a filter or the encoder it is the application's
            self.returned = before

    def check(self, place: str) -> None:
        """Log once more: it is spooled and delivered, and what has returned before it too, once."""
        self.log()
        wait_until(self._is_delivered, 20, f"{place} {self._stats()}")
        assert self.handler.flush(20), (place, self._stats())
        assert set(self._texts().values()) == {1}, (place, self._texts().most_common(2))
        stats = self._stats()
        assert stats.accepted == stats.delivered + sum(stats.dropped.values()), (place, stats)
        assert (stats.pending, stats.spool) == (0, str(self.folder)), (place, stats)
        self.returned.clear()

    def _is_delivered(self) -> bool:
        return self.returned <= self._texts().keys()

    def _stats(self) -> Any:
        return self.handler.stats()

    def _texts(self) -> Counter[str]:
        entries = {entry["insertId"]: entry for entry in self.transport.entries}
        return Counter(entry.get("textPayload", name) for name, entry in entries.items())

    def close(self) -> None:
        """Close all; of the spool nothing stays but a head that was never finished."""
        self.handler.close()
        self.transport.close()
        left = [path.name for path in self.folder.iterdir() if path.suffix != ".new"]
        assert [name for name in left if name.endswith(".head")] == [], left


class _Inline(Struck):
    """One without a thread: it sends where it is asked to."""

    def _is_delivered(self) -> bool:
        return self.handler.flush(20) and super()._is_delivered()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder; no file in it stays open, whatever was struck.

    But for one: between the opening of a folder and the name for its number no code knows it.
    """
    yield tmp_path
    left = []
    for link in [*Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            name = str(link.readlink())
            if name.startswith(str(tmp_path)):
                os.close(int(link.name))
                left.append(name)
    assert [name for name in left if ".log" in name or ".head" in name or ".new" in name] == []


def _files_struck(make: Callable[[str], Struck], size: int = 0) -> set[str]:
    """Strike the log call of one handler after another; check each, return the files struck."""
    made: list[Struck] = []
    places = set()
    for place in every_strike(
        lambda: made[-1].act(lambda: made[-1].log(size)),
        lambda: made[-1].strike(),  # noqa: PLW0108 - another one at each step
        lambda: made.append(make(str(len(made)))),
    ):
        made[-1].check(place)
        made[-1].close()
        places.add(_file(place))
    made[-1].check("none")
    made[-1].close()
    return places


def _file(place: str) -> str:
    return place.partition(":")[0]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [pytest.param(SoftTimeLimit, marks=pytest.mark.long), Stop])
def test_the_record_that_opens_it(
    make_logger: Make, folder: Path, kind: type[BaseException]
) -> None:
    """Struck anywhere while it makes folder, head and segment, the next record is spooled."""
    places = _files_struck(lambda name: Struck(make_logger, folder / name, kind))
    wanted = {"spooler.py", "making.py", "folder.py", "owner.py", "segment.py", "segments.py"}
    assert wanted | {"store.py"} <= places


@pytest.mark.parametrize(
    "kind", few([SoftTimeLimit, Stop], SoftTimeLimit, mark=pytest.mark.thorough)
)
def test_records_that_need_a_further_segment(
    make_logger: Make, folder: Path, kind: type[BaseException]
) -> None:
    """Struck anywhere while it rolls, a record leaves a spool that takes the next one."""

    def with_a_full_segment(name: str) -> Struck:
        struck = Struck(make_logger, folder / name, kind)
        for _ in range(2):
            struck.log(ROLLED)
        return struck

    places = _files_struck(with_a_full_segment, ROLLED)
    assert {"store.py", "segments.py", "segment.py"} <= places


@pytest.mark.parametrize("kind", [SoftTimeLimit, Stop])
def test_what_waits_in_memory_is_taken_in(
    make_logger: Make, folder: Path, kind: type[BaseException]
) -> None:
    """Struck anywhere on its way from memory to a segment, an entry is in one of them."""
    struck = Struck(make_logger, folder / "spool", kind)
    struck.check("start")
    pipeline = struck.handler._gate.product

    def prepare() -> None:
        opening = pipeline.insert_ids.opening()
        text = f"waited {next(struck._number)}"
        entry = b'%b","timestamp":"2026-11-28T10:00:00Z","textPayload":"%b"}'
        pipeline.buffer.offer(2, entry % (opening, text.encode()))
        struck.returned.add(text)

    places = set()
    for place in every_strike(lambda: struck.act(pipeline.spooler.take_in), struck.strike, prepare):
        struck.check(place)
        places.add(_file(place))
    struck.check("none")
    struck.close()
    assert {"store.py", "buffer.py"} <= places


@pytest.mark.long
@pytest.mark.parametrize("kind", [SoftTimeLimit, Stop])
def test_a_pass_of_a_process_without_threads(
    make_logger: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """Struck anywhere between a segment and the server, an entry is in one of them."""
    monkeypatch.setattr(ThisProcess, "may_run_threads", lambda _self: False)
    struck = _Inline(make_logger, folder / "spool", kind, max_latency=100)
    struck.check("start")
    pipeline = struck.handler._gate.product
    places = set()
    for place in every_strike(
        lambda: struck.act(pipeline.flush_request), struck.strike, struck.log
    ):
        struck.check(place)
        places.add(_file(place))
    struck.check("none")
    struck.close()
    assert {"taking.py", "segment.py", "sender.py"} <= places
