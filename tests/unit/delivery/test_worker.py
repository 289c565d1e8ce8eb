"""The worker without a thread: when a pass runs, and how the inline ways end."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from helpers import wait_until

from forklog import CloudLoggingHandler
from forklog.clock import monotonic
from forklog.delivery.buffer import Buffer
from forklog.delivery.lifecycle import Ended
from forklog.delivery.passes import NO_THREAD
from forklog.delivery.schedule import SEND, SendResult, Wait, next_step
from forklog.delivery.sending.sender import Sender
from forklog.delivery.worker import Worker
from forklog.encoding.lenient import drop_notice
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process import thread
from forklog.process.host import ThisProcess
from forklog.stderr.reporter import StderrReporter
from forklog.testing import Deliver, Fail, FakeTransport, Hang
from forklog.transports.base import Envelope, Kind, Origin, Quota, Verdict
from forklog.turn import TURN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forklog.delivery.base import SendOther

INFO, ERROR = 2, 5


def _nothing() -> None:
    return


class _Bench:
    def __init__(
        self,
        transport: FakeTransport,
        spooler: Any = None,
        chance: float = 0.5,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        self.ids = InsertIds()
        self.lines: list[str] = []
        report = StderrReporter(self.lines.append)
        self.buffer = Buffer(self.options.max_buffer_bytes, self._woken)
        self.sender = Sender(self.options, self.buffer, transport, report, lambda: chance)
        self.worker = Worker(
            self.options,
            self.buffer,
            self.sender,
            self.ids,
            report,
            partial(drop_notice, shared={}),
            ThisProcess(),
            spooler,
        )

    def _woken(self) -> None:
        self.worker.wakeup.set()

    def log(self, rank: int = INFO, size: int = 0) -> bytes:
        entry = b'%b%010x","t":"%b"}'
        self.buffer.offer(rank, entry % (self.ids.head, self.ids.number(), b"x" * size))
        return self.ids.key()


@pytest.fixture
def bench(forklog_transport: FakeTransport) -> _Bench:
    """Return a worker with what belongs to it."""
    return _Bench(forklog_transport)


def test_inline_sends_what_is_urgent_only(bench: _Bench, forklog_transport: FakeTransport) -> None:
    """Below flush_level and below a batch nothing is sent; at either of them it is."""
    bench.log()
    bench.worker.run_inline()
    assert not forklog_transport.sent
    bench.log(ERROR)
    bench.worker.run_inline()
    assert len(forklog_transport.entries) == 2
    for _ in range(12):
        bench.log(size=100_000)
    bench.worker.run_inline()
    assert len(forklog_transport.entries) == 14


def test_inline_waits_out_failures(bench: _Bench, forklog_transport: FakeTransport) -> None:
    """While a failure has to pass, an urgent record does not go to the wire."""
    forklog_transport.then(Fail(503, retry_after=60))
    for _ in range(3):
        bench.log(ERROR)
        bench.worker.run_inline()
    assert len(forklog_transport.sent) == 1


def test_new_entries_wait_for_the_gap_and_a_flush_does_not(
    forklog_transport: FakeTransport,
) -> None:
    """After a refusal by a quota an urgent record waits, whatever is sent; a flush sends it.

    It waits at the end of a request, too: a worker of uWSGI without threads ignored the gap there.
    """
    bench = _Bench(forklog_transport, chance=0.0)
    forklog_transport.then(Fail(429, times=4))
    key = bench.log(ERROR)
    bench.worker.flush_inline(key, monotonic() + 20)
    assert len(forklog_transport.sent) == 5
    assert bench.sender.pacing.gap() > 3
    key = bench.log(ERROR)
    for is_wanted in (False, True):
        bench.worker.run_inline(is_wanted=is_wanted)
        assert len(forklog_transport.sent) == 5
    bench.worker.flush_inline(key, monotonic() + 20)
    assert len(forklog_transport.sent) == 6


def test_a_retry_in_the_calling_thread_waits_for_its_own_delay_alone(
    forklog_transport: FakeTransport,
) -> None:
    """The batch that a quota refused does not wait for the gap, which may be longer."""
    bench = _Bench(forklog_transport, chance=0.0)
    refused = Verdict(Kind.RETRY, quota=Quota())
    for _ in range(8):  # a gap of 32 s and more
        bench.sender.pacing.learn_of(refused, 1)
    forklog_transport.then(Fail(429))
    bench.log()
    bench.worker.run_inline(is_wanted=True)
    look = bench.worker._observe_inline(is_wanted=True)
    step = next_step(look)
    assert isinstance(step, Wait)
    assert 0 < (step.seconds or 0) <= 2.5  # a quarter of ten seconds
    assert next_step(replace(look, now=look.retry_at)) == SEND


class _Orphans:
    """Stands for a spool in which a dead process left entries."""

    def __init__(self) -> None:
        self.adopted = 0

    def seconds(self) -> float:
        return 0.0

    def is_adopting(self) -> bool:
        return False

    def after_pass(self, _origin: Origin | None) -> None:
        return

    def check(self) -> None:
        return

    def adopt(self, send: SendOther) -> dict[str, int]:
        self.adopted += 1
        send([b'"a1"}'], Envelope("other", {}, None))
        return {}


def test_what_dead_processes_left_waits_for_the_gap_and_teaches_it() -> None:
    """Their entries are requests like any other, under the same quota, which is reported."""
    transport, orphans = FakeTransport(), _Orphans()
    bench = _Bench(transport, spooler=orphans)
    bench.log()
    transport.then(Deliver(), Fail(429), Deliver())
    assert bench.worker.pass_inline(5) is SendResult.SENT
    assert (orphans.adopted, bench.sender.pacing.gap()) == (1, 0.5)
    assert ["a quota delays the logs" in line for line in bench.lines] == [True]
    bench.log()
    assert bench.worker.pass_inline(5) is SendResult.SENT
    assert orphans.adopted == 1
    transport.close()


def test_what_dead_processes_left_keeps_to_the_deadline_of_the_caller() -> None:
    """A flush in the calling thread waits no longer for their entries than for its own.

    Closes: a wait of the calling thread that has answer_timeout, whatever is left of the deadline.
    """
    transport, orphans = FakeTransport(), _Orphans()
    bench = _Bench(transport, spooler=orphans, answer_timeout=600)
    transport.then(Deliver(), Hang(times=9))
    key = bench.log()
    start = time.monotonic()
    bench.worker.flush_inline(key, monotonic() + 0.5)
    assert time.monotonic() - start < 60
    assert (orphans.adopted, transport.sent[1].outcome) == (1, "hang")
    transport.close()


class _Slow:
    """A wire that can bound its opening; the opening takes a part of the time."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self.sent: list[float] = []

    def open(self) -> _Slow:
        return self.open_within(0.1)

    def open_within(self, timeout: float) -> _Slow:
        self.opened.append(timeout)
        time.sleep(0.1)
        return self

    def send(self, _entries: Sequence[bytes], timeout: float) -> Verdict:
        self.sent.append(timeout)
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


def test_the_opening_of_a_connection_keeps_to_the_deadline_of_the_caller() -> None:
    """Opening and answer share what is left; the flush thread, which none waits for, opens freely.

    Closes: a wait of the calling thread that has no part in its deadline.
    """
    wire: Any = _Slow()
    bench = _Bench(wire, answer_timeout=600)
    bench.log()
    assert bench.worker.pass_inline(30) is SendResult.SENT
    assert 20 < wire.opened[0] <= 30
    assert wire.sent[0] <= wire.opened[0] - 0.1
    wire = _Slow()
    bench = _Bench(wire, answer_timeout=600)
    bench.log()
    assert bench.sender.send_once() is SendResult.SENT
    assert (wire.opened, wire.sent) == ([0.1], [600])


def test_flush_inline_settles_or_ends(bench: _Bench, forklog_transport: FakeTransport) -> None:
    """It repeats passes until all below the key is settled, or the deadline is reached."""
    forklog_transport.then(Fail(503, times=2, retry_after=0.01))
    key = bench.log()
    bench.worker.flush_inline(key, monotonic() + 10)
    assert bench.sender.oldest_unsettled() > key
    forklog_transport.then(Hang(times=9))
    key = bench.log()
    start = time.monotonic()
    bench.worker.flush_inline(key, monotonic() + 0.3)
    assert 0.2 < time.monotonic() - start < 1.5
    assert bench.sender.oldest_unsettled() <= key


def test_flush_inline_asks_again_after_answer_timeout() -> None:
    """A server that does not answer once costs answer_timeout, however far the deadline is."""
    transport = FakeTransport(Hang())
    bench = _Bench(transport, answer_timeout=0.1, max_retry_delay=0.1)
    key = bench.log()
    start = time.monotonic()
    bench.worker.flush_inline(key, monotonic() + 60)
    assert time.monotonic() - start < 20
    assert [request.outcome for request in transport.sent] == ["hang", "deliver"]
    transport.close()


def test_an_inline_pass_is_not_taken_for_an_application(bench: _Bench) -> None:
    """During an inline pass the calling thread is the one whose own records are swallowed."""
    assert bench.worker.thread_ident == NO_THREAD
    bench.log()
    assert bench.worker.pass_inline(5) is SendResult.SENT
    assert bench.worker.thread_ident == NO_THREAD


def test_a_thread_that_cannot_start_is_reported(bench: _Bench) -> None:
    """The thread ends when it is to stop, says so, and its end can be waited for."""
    ended: list[Ended] = []
    bench.worker.stop()
    bench.worker.start_thread("forklog-flush-test", _nothing, ended.append, _nothing)
    wait_until(lambda: ended == [Ended.STOPPED])
    assert bench.worker.thread.ended.wait(10)
    assert bench.worker.thread_ident == NO_THREAD


def test_a_paused_thread_ends_between_two_passes(
    bench: _Bench, forklog_transport: FakeTransport
) -> None:
    """A pause has an idle thread end at once, and leaves entries where they are."""
    ended: list[Ended] = []
    bench.worker.start_thread("forklog-flush-test", _nothing, ended.append, _nothing)
    bench.log()
    forklog_transport.wait_for(1)
    bench.worker.await_paused()
    wait_until(lambda: ended == [Ended.PAUSED])
    assert bench.worker.thread.ended.is_set()
    bench.log()
    assert len(bench.buffer) == 1


def test_a_fork_waits_for_no_look(forklog_transport: FakeTransport) -> None:
    """The thread that a pause ends looks neither at what waits nor at what is due."""

    class Left:
        looks = 0

        def seconds(self) -> None:
            self.looks += 1

    left, ended = Left(), []
    worker = _Bench(forklog_transport, spooler=left).worker
    worker.pause()
    worker.start_thread("forklog-flush-test", _nothing, ended.append, _nothing)
    wait_until(lambda: ended == [Ended.PAUSED])
    assert left.looks == 0


def test_a_drop_is_noticed_once(bench: _Bench) -> None:
    """What an overflow dropped in other threads is booked once, under its reason."""
    small = _Bench(FakeTransport(), max_buffer_bytes=2**20)
    for _ in range(30):
        small.log(size=100_000)
    small.worker.overflow.report()
    small.worker.overflow.report()
    assert small.sender.ledger.dropped["buffer_full"] == 30 - len(small.buffer)
    assert bench.sender.ledger.dropped == {}


def test_a_drop_counted_before_its_entry_was_kept_is_passed_on_later() -> None:
    """The flush thread may count an overflow before the logging thread has kept the entry.

    Class of fault: a thread looks between two steps of a drop; siblings:
    `test_an_overflow_during_a_snapshot_is_in_its_sum`.
    """
    got: list[bytes] = []
    small = _Bench(
        FakeTransport(), max_buffer_bytes=2**20, on_drop=lambda entries, _why: got.extend(entries)
    )

    def keep_late(entry: bytes) -> None:
        small.worker.overflow.report()
        small.worker.overflow.keep(entry)

    small.buffer = Buffer(2**20, small._woken, on_overflow=keep_late)
    small.worker.overflow._buffer = small.buffer
    small.log(size=600_000)
    small.log(size=600_000)
    assert (small.sender.ledger.dropped, got) == ({"buffer_full": 1}, [])
    small.worker.overflow.report()
    assert (small.sender.ledger.dropped, len(got)) == ({"buffer_full": 1}, 1)


def test_dropped_entries_are_kept_within_bounds() -> None:
    """Between two looks of the flush thread as much is kept as the buffer holds; all is counted."""
    got: list[bytes] = []
    small = _Bench(
        FakeTransport(), max_buffer_bytes=2**20, on_drop=lambda entries, _why: got.extend(entries)
    )
    overflow = small.worker.overflow
    for _ in range(3):
        got.clear()
        for _ in range(50):
            overflow.keep(b"x" * 100_000)
        overflow.report()
        assert len(got) == 11, "each time anew"


def test_the_ranks_of_flush_level() -> None:
    """flush_level is compared by severity."""
    for level, rank in ((logging.DEBUG, 1), ("WARNING", 4), ("CRITICAL", 6)):
        assert _Bench(FakeTransport(), flush_level=level).worker.flush_rank == rank


def test_a_thread_that_is_about_to_take_an_entry_is_waited_for(bench: _Bench) -> None:
    """A record of the last moment: its pass has begun, and nothing is in flight yet.

    Only a thread that waits for the answer to what was given up is not waited for.
    """
    bench.log()
    bench.sender._sending[TURN] = object()
    assert not bench.worker._is_hopeless()
    bench.buffer.take([], 10, 1000)
    assert bench.worker._is_hopeless()


def test_a_thread_that_starts_while_another_sends_waits_and_knows_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its start failed once, so a pass without it hangs; the flush thread that comes then waits.

    Else it would ask again at once, as long as that pass takes, and be taken for no thread after.
    """
    start, failed = thread._start_with_room, []

    def fail_once(new: threading.Thread) -> None:
        if not failed:
            failed.append(new)
            raise RuntimeError("can't start new thread")
        start(new)

    monkeypatch.setattr(thread, "_start_with_room", fail_once)
    handler = CloudLoggingHandler(
        transport=FakeTransport(Hang()), max_latency=0.01, shutdown_timeout=1, last_resort="none"
    )
    logger = logging.getLogger("a thread that starts late")
    logger.addHandler(handler)
    logger.error("first")
    wait_until(lambda: handler.stats().requests, 20, "the pass that hangs")
    worker = handler._gate.product.worker
    passes = []
    send_once = worker._sender.send_once
    monkeypatch.setattr(
        worker._sender, "send_once", lambda *a, **k: passes.append(1) or send_once(*a, **k)
    )
    logger.error("second")
    wait_until(worker.thread.is_up, 20, "the thread")
    assert handler.flush(20)
    assert 0 < len(passes) < 100
    assert worker.thread_ident != NO_THREAD
    logger.removeHandler(handler)
    handler.close()


def test_a_spool_before_the_lanes_holds_no_log_call() -> None:
    """What stands in its segments takes no room in the lanes, and has a bound of its own."""
    bench = _Bench(FakeTransport(), block_timeout=60)
    lanes = Buffer(2**20, _nothing)
    bench.buffer.bytes = bench.buffer.max_bytes + 1  # of the spool, as the worker sees it
    start = time.monotonic()
    bench.worker.await_room(lanes)
    assert time.monotonic() - start < 30
