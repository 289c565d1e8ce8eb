"""The pipeline and the process it runs in, by a fake that plays the roles of real ones."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from helpers import wait_until
from host import FakeHost

from forklog.delivery.lifecycle import State
from forklog.delivery.pipeline import NewSpooler, Pipeline
from forklog.encoding.lenient import drop_notice
from forklog.options import MIN_BUFFER_BYTES, Options
from forklog.process.thread import FlushThread
from forklog.severity import NEVER
from forklog.spool.making import Making
from forklog.spool.spooler import ProcessSpool
from forklog.testing import Fail, FakeTransport, Hang
from forklog.transports.base import Kind, Quota, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def host() -> FakeHost:
    """Return an ordinary process."""
    return FakeHost()


@pytest.fixture
def build(host: FakeHost, forklog_transport: FakeTransport) -> Iterator[Callable[..., Pipeline]]:
    """Return a function that builds a pipeline in the fake process; closed after the test."""
    made: list[Pipeline] = []

    def make(inherited: Pipeline | None = None, **options: Any) -> Pipeline:
        given = Options(**{"project": "p", "last_resort": "none", "max_latency": 0.01, **options})
        notice = partial(drop_notice, shared={})
        pipeline = Pipeline(given, forklog_transport, notice, host, new_spooler=_new_spooler(given))
        pipeline.begin(inherited)
        made.append(pipeline)
        return pipeline

    yield make
    host.loads = False
    for pipeline in made:
        pipeline.close(1.0)


def _new_spooler(options: Options) -> NewSpooler | None:
    if not options.spool:
        return None
    return partial(ProcessSpool, options, Making(options, lambda: ("p", "https://example.invalid")))


def _log(pipeline: Pipeline, text: str = "a") -> None:
    entry = b'","timestamp":"2026-01-01T00:00:00Z","textPayload":"%b"}' % text.encode()
    pipeline.offer(2, pipeline.opening() + entry)


def test_a_loader_holds_and_its_child_adopts(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """In a process that will fork from C no thread runs; what it held is its child's to send."""
    host.loads = True
    master = build()
    _log(master, "boot")
    assert master.state is State.HOLDING
    assert not forklog_transport.sent
    assert not master.flush(0.1)
    host.loads = False
    worker = build(master)
    worker.adopt()
    forklog_transport.wait_for(1)
    assert worker.flush(10.0)
    assert worker.stats().adopted == 1
    assert master.flush(10.0)  # no loader any more: it takes back what no child has adopted
    assert len(forklog_transport.entries) == 1


def _flood(pipeline: Pipeline, number: int) -> None:
    """Log twice what its memory holds, so that nothing less severe finds room in the end."""
    for rank in (2, 1):
        for _ in range(number):
            pipeline.offer(rank, pipeline.opening() + b'","textPayload":"%b"}' % (b"x" * 10_000))


def _flooded(
    host: FakeHost, build: Callable[..., Pipeline], **options: Any
) -> tuple[Pipeline, int]:
    """Return a process that held more than its memory holds and loads no more, and how many."""
    host.loads = True
    loader = build(max_buffer_bytes=MIN_BUFFER_BYTES, **options)
    number = MIN_BUFFER_BYTES // 10_000
    _flood(loader, number)
    host.loads = False
    return loader, 2 * number


def test_what_a_loader_holds_beyond_its_memory(
    host: FakeHost,
    build: Callable[..., Pipeline],
    forklog_transport: FakeTransport,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The child that adopts accounts for what was dropped: on stderr, in numbers, in the log."""
    master, number = _flooded(host, build)
    held = master.stats()
    dropped = held.dropped["buffer_full"]
    assert held.pending + dropped == number
    master._home = [0]  # the worker is another process
    worker = build(master)
    worker.adopt()
    forklog_transport.wait_for(held.pending + 1)
    assert not worker.flush(10.0)
    assert f"dropped {dropped} log entries (buffer_full)" in capfd.readouterr().err
    stats = worker.stats()
    assert dict(stats.dropped) == {"buffer_full": dropped}
    assert (stats.adopted, stats.accepted) == (held.pending, held.accepted + 1)  # the notice too
    master.held.stop_holding()


def test_what_a_loader_holds_beyond_its_memory_is_in_its_spool(
    host: FakeHost,
    build: Callable[..., Pipeline],
    forklog_transport: FakeTransport,
    tmp_path: Path,
) -> None:
    """The child delivers all of it, whatever its severity, and nothing counts as dropped."""
    spool = str(tmp_path / "spool")
    master, number = _flooded(host, build, spool=spool)
    assert master.stats().pending < number
    master._home = [0]  # the worker is another process
    worker = build(master, max_buffer_bytes=MIN_BUFFER_BYTES, spool=spool)
    worker.adopt()
    forklog_transport.wait_for(number)
    assert worker.flush(10.0)
    stats = worker.stats()
    assert (stats.adopted, stats.accepted, dict(stats.dropped)) == (number, number, {})
    master.held.stop_holding()


def test_a_loader_that_sends_what_it_held_beyond_its_memory(
    host: FakeHost,
    build: Callable[..., Pipeline],
    forklog_transport: FakeTransport,
    tmp_path: Path,
) -> None:
    """What its spool had is not dropped: it counts once, as delivered."""
    master, number = _flooded(host, build, spool=str(tmp_path / "spool"))
    assert master.flush(10.0)
    forklog_transport.wait_for(number)
    stats = master.stats()
    assert (stats.delivered, stats.accepted, dict(stats.dropped)) == (number, number, {})


def test_a_loader_that_logs_before_it_takes_back_what_it_held(
    host: FakeHost,
    build: Callable[..., Pipeline],
    forklog_transport: FakeTransport,
    tmp_path: Path,
) -> None:
    """The record opens its spool only then: nothing is sent twice, dropped or counted wrongly.

    Found where uWSGI's only process became a worker and its application logged in a fork hook.
    """
    dropped: list[bytes] = []
    given = {"spool": str(tmp_path / "spool"), "on_drop": lambda lost, _: dropped.extend(lost)}
    loader, number = _flooded(host, build, **given)
    _log(loader, "first")
    assert loader.flush(10.0)
    stats = loader.stats()
    total = number + 1
    assert (stats.delivered, stats.accepted, dict(stats.dropped)) == (total, total, {})
    assert len(forklog_transport.entries) == total
    assert not dropped
    assert stats.unspooled == 0


def test_a_loader_waits_for_no_room(host: FakeHost, build: Callable[..., Pipeline]) -> None:
    """No thread of it makes any, however long `block_timeout` is."""
    host.loads = True
    loader = build(block_timeout=3600.0, max_buffer_bytes=MIN_BUFFER_BYTES)
    loader.buffer.count_taken(MIN_BUFFER_BYTES)
    logging = threading.Thread(target=_log, args=(loader,), daemon=True)
    logging.start()
    logging.join(60.0)
    assert not logging.is_alive()
    assert loader.state is State.HOLDING
    loader.held.stop_holding()


def test_an_overflow_wakes_the_thread_before_it_waits_for_room(
    build: Callable[..., Pipeline],
) -> None:
    """With block_timeout a thread that nothing else has woken makes room."""
    pipeline = build(block_timeout=0.01, max_buffer_bytes=MIN_BUFFER_BYTES)
    pipeline.buffer.arm(NEVER)
    pipeline.buffer.count_taken(MIN_BUFFER_BYTES)
    _log(pipeline)
    assert pipeline.state is State.RUNNING


def test_a_process_without_threads_sends_in_the_logging_thread(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """An urgent entry is delivered when its call returns; others wait for a flush."""
    host.threads = False
    pipeline = build()
    pipeline.offer(5, pipeline.opening() + b'","textPayload":"error"}')
    assert pipeline.state is State.INLINE
    assert len(forklog_transport.entries) == 1
    _log(pipeline)
    assert len(forklog_transport.entries) == 1
    assert pipeline.flush(10.0)
    assert len(forklog_transport.entries) == 2


def test_the_exit_delivers_and_gives_up_what_it_cannot(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """The hook's deadline bounds the wait; what is left is counted as ``shutdown``."""
    delivering, failing = build(), build()
    _log(delivering)
    assert delivering.flush(10.0)
    forklog_transport.then(Fail(503, seconds=60))
    _log(failing)
    wait_until(lambda: failing.stats().requests)
    host.end(0.2)
    assert delivering.stats().delivered == 1
    assert failing.stats().dropped == {"shutdown": 1}


def _threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("forklog-flush")]


def test_a_fork_finds_no_thread_and_what_is_pending_goes_out_after_it(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """The thread ends before it, and starts again for what waits, without another record."""
    forklog_transport.then(Fail(503, times=20))  # the first delay is a random one, maybe of no time
    pipeline = build(max_retry_delay=0.1)
    _log(pipeline, "before")
    wait_until(lambda: pipeline.stats().requests)
    seen: list[list[str]] = []
    host.fork(lambda: seen.append(_threads()))
    assert seen == [[]]
    wait_until(lambda: bool(_threads()))
    host.fork(lambda: _log(pipeline, "by a hook of the application"))
    assert pipeline.flush(10.0)
    assert len(forklog_transport.entries) == pipeline.stats().delivered == 2


def test_a_fork_in_the_middle_of_a_request_waits_a_bounded_time(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """The request goes on beside the fork, and what it holds is settled once."""
    forklog_transport.then(Hang())
    pipeline = build()
    _log(pipeline)
    wait_until(lambda: pipeline.stats().requests)
    seen: list[int] = []
    host.fork(lambda: seen.append(pipeline.stats().delivered))
    assert seen == [0]
    forklog_transport.release()
    assert pipeline.flush(10.0)
    assert len(forklog_transport.entries) == pipeline.stats().delivered == 1


def test_a_fork_starts_no_thread_for_nothing(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """Where nothing waits, the next record starts it."""
    pipeline = build()
    _log(pipeline)
    assert pipeline.flush(10.0)
    host.fork()
    assert pipeline.state is State.INERT
    _log(pipeline, "next")
    forklog_transport.wait_for(2)


def test_a_fork_starts_nothing_in_a_closed_pipeline(
    host: FakeHost, build: Callable[..., Pipeline]
) -> None:
    """Its thread has ended for good."""
    pipeline = build()
    _log(pipeline)
    pipeline.close(10.0)
    host.fork()
    assert pipeline.state is State.CLOSED
    assert not _threads()


def test_after_the_last_hook_the_logging_thread_sends(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """What is logged when no hook will run any more is sent at once, without a thread."""
    host.past_hooks = True
    pipeline = build()
    _log(pipeline)
    assert pipeline.state is State.INLINE
    assert len(forklog_transport.entries) == 1


class _Reluctant(FlushThread):
    """A thread that cannot be started so many times."""

    def __init__(self, refusals: list[int]) -> None:
        super().__init__()
        self._refusals = refusals

    def start(self, *args: Any) -> None:
        """Fail as CPython does at a limit of threads."""
        if self._refusals[0]:
            self._refusals[0] -= 1
            raise RuntimeError("can't start new thread")
        super().start(*args)


@pytest.mark.parametrize("has_threads", [False, True])
def test_without_a_thread_new_entries_wait_for_the_gap(
    host: FakeHost,
    build: Callable[..., Pipeline],
    forklog_transport: FakeTransport,
    *,
    has_threads: bool,
) -> None:
    """While a quota refuses, neither a request's end nor a start that fails sends; a flush does."""
    host.threads = has_threads
    host.new_thread = lambda: _Reluctant([99])  # type: ignore[method-assign]
    pipeline = build()
    for _ in range(8):  # a gap of 32 s and more
        pipeline.sender.pacing.learn_of(Verdict(Kind.RETRY, quota=Quota()), 1)
    _log(pipeline, "before")
    pipeline.flush_request()
    assert len(forklog_transport.entries) == 1
    _log(pipeline, "within the gap")
    pipeline.flush_request()
    assert len(forklog_transport.entries) == 1
    assert pipeline.flush(10.0)
    assert len(forklog_transport.entries) == 2


def test_a_start_that_failed_is_tried_again(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """The failing log call sends what waits; the next one has a thread.

    Class of fault: a failure that passes is taken for one that lasts; siblings:
    `test_a_start_that_fails_for_long_costs_no_log_call_a_try`,
    `test_a_process_without_a_descriptor_left`, `test_slow_is_not_absent`.
    """
    refusals = [1]
    host.new_thread = lambda: _Reluctant(refusals)  # type: ignore[method-assign]
    pipeline = build()
    _log(pipeline, "first")
    assert pipeline.state is State.INLINE
    assert [entry["textPayload"] for entry in forklog_transport.entries] == ["first"]
    _log(pipeline, "second")
    assert pipeline.state is State.RUNNING
    forklog_transport.wait_for(2)


def test_a_start_that_fails_for_long_costs_no_log_call_a_try(
    host: FakeHost, build: Callable[..., Pipeline], forklog_transport: FakeTransport
) -> None:
    """While no thread can be had, most records try none, and a flush delivers all of them."""
    refusals = [10_000]
    host.new_thread = lambda: _Reluctant(refusals)  # type: ignore[method-assign]
    pipeline = build()
    for number in range(200):
        _log(pipeline, str(number))
    assert refusals[0] > 9_900
    assert pipeline.flush(10.0)
    assert len(forklog_transport.entries) == 200
