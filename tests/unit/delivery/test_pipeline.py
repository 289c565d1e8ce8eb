"""The pipeline of one process: bounds, promises and accounts, with its real thread."""

from __future__ import annotations

import logging
import operator
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from helpers import wait_until

from forklog.testing import Deliver, Disconnect, Fail, FakeTransport, Hang, Refuse
from forklog.transports.base import Connection, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from forklog import CloudLoggingHandler

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


def _check(handler: CloudLoggingHandler) -> Any:
    stats = handler.stats()
    settled = stats.delivered + sum(stats.diverted.values()) + sum(stats.dropped.values())
    assert stats.accepted == settled + stats.pending
    return stats


def _texts(transport: FakeTransport) -> list[str]:
    return [entry.get("textPayload", "") for entry in transport.entries]


def _notices(transport: FakeTransport) -> list[dict[str, Any]]:
    return [e["jsonPayload"] for e in transport.entries if "jsonPayload" in e]


def test_an_inert_pipeline_starts_nothing(make_logger: Make) -> None:
    """Before the first record there is no thread; flush and close of nothing succeed at once."""
    before = threading.active_count()
    _, handler = make_logger()
    assert handler.flush(0)
    assert handler.stats().state == "inert"
    handler.close()
    assert threading.active_count() == before


def test_a_record_waits_for_max_latency_at_most(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Without a flush a record arrives after max_latency, and those of one moment together."""
    logger, handler = make_logger(max_latency=0.3)
    logger.info("the first one starts the thread and goes at once")
    assert handler.flush()
    start = time.monotonic()
    for n in range(50):
        logger.info("n %d", n)
    forklog_transport.wait_for(51)
    assert 0.25 < time.monotonic() - start < 2.5
    assert len(forklog_transport.sent) == 2


def test_a_severe_record_goes_at_once(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """A record at flush_level does not wait for max_latency, and takes the others along."""
    logger, _ = make_logger(max_latency=30, flush_level="ERROR")
    logger.info("before")
    logger.error("now")
    forklog_transport.wait_for(2)


def test_a_full_batch_goes_at_once(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """A batch that has reached its size does not wait for max_latency."""
    logger, _ = make_logger(max_latency=30, max_batch_bytes=300_000)
    for _ in range(8):
        logger.info("x" * 40_000)
    forklog_transport.wait_for(1)


def test_flush_does_not_wait_for_max_latency(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Flush hurries what was logged before it and says that it is settled."""
    logger, handler = make_logger(max_latency=30)
    logger.info("a")
    start = time.monotonic()
    assert handler.flush()
    assert time.monotonic() - start < 5
    assert _texts(forklog_transport) == ["a"]
    logger.info("b")
    assert handler.flush()


def test_flush_ends_at_its_timeout(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """With a hanging server flush returns False after its timeout; later it succeeds."""
    forklog_transport.then(Hang())
    logger, handler = make_logger()
    logger.info("a")
    start = time.monotonic()
    assert not handler.flush(0.2)
    assert 0.15 < time.monotonic() - start < 2
    forklog_transport.release()
    assert handler.flush()
    assert _check(handler).delivered == 1


def test_flush_of_many_threads(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """Four threads that log and flush in turn each find their own records settled."""
    logger, handler = make_logger()
    missing = []

    def work(name: int) -> None:
        for n in range(40):
            text = f"{name}-{n}"
            logger.info(text)
            if not handler.flush(20) or text not in _texts(forklog_transport):
                missing.append(text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not missing
    assert _check(handler).delivered == 160


def test_no_wake_up_is_lost(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """A record that comes just as the thread falls asleep is delivered without another one."""
    logger, _ = make_logger(max_latency=0.0)
    for n in range(1, 1500):
        logger.info("n")
        if n % 3:
            forklog_transport.wait_until(lambda: bool(forklog_transport.sent))
        if n % 50 == 0:
            forklog_transport.wait_for(n, 5)
    forklog_transport.wait_for(1499)


def test_an_idle_thread_never_wakes_up(make_logger: Make) -> None:
    """Two seconds without records: the flush thread is not scheduled once."""
    logger, handler = make_logger()
    logger.info("a")
    assert handler.flush()
    thread = next(t for t in threading.enumerate() if t.name.startswith("forklog"))

    def switches() -> list[str]:
        with open(f"/proc/self/task/{thread.native_id}/status") as status:  # noqa: PTH123
            return [line for line in status if "ctxt_switches" in line]

    time.sleep(0.3)  # what the last delivery still does
    before = switches()
    time.sleep(2)
    assert switches() == before


def test_an_error_outlives_a_flood(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """While the server hangs a flood of DEBUG overflows the buffer: the ERROR is delivered."""
    forklog_transport.then(Hang())
    logger, handler = make_logger(max_buffer_bytes=2**20, max_latency=0)
    logger.info("first")
    forklog_transport.wait_until(lambda: bool(forklog_transport.sent))
    logger.error("keep me")
    for n in range(4000):
        logger.debug("%d %s", n, "x" * 500)
        assert handler.stats().pending_bytes <= 2**20
    forklog_transport.release()
    assert not handler.flush(20), "some were dropped"
    texts = _texts(forklog_transport)
    assert texts[:2] == ["first", "keep me"]
    assert texts[-2].startswith("3999 ") or texts[-1].startswith("3999 ")
    wait_until(lambda: not handler.stats().pending)  # a notice of the drops may come after
    stats = _check(handler)
    assert stats.dropped["buffer_full"] > 1000
    assert stats.pending_bytes == 0


def test_the_log_itself_says_what_it_lacks(
    make_logger: Make, forklog_transport: FakeTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the wire is back an entry tells reason and number; stderr had one line a reason."""
    forklog_transport.then(Refuse(0, times=2))
    logger, handler = make_logger(max_latency=0)
    for _ in range(2):
        logger.info("secret payload")
        handler.flush()
    forklog_transport.wait_until(
        lambda: sum(n["dropped"] for n in _notices(forklog_transport)) == 1
    )
    logger.info("next")
    assert handler.flush()
    notices = _notices(forklog_transport)
    assert {n["reason"] for n in notices} == {"refused"}
    assert notices[0]["message"] == "forklog dropped 1 entries (refused)"
    err = capsys.readouterr().err
    assert err.count("dropped 1 log entries (refused: 400: refused by the script)") == 1
    assert "secret" not in err


def test_on_drop_sees_what_an_overflow_dropped(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """The callback gets the entries themselves, with the reason, in the flush thread."""
    got: list[tuple[str, int]] = []
    forklog_transport.then(Hang())
    logger, handler = make_logger(
        max_buffer_bytes=2**20, on_drop=lambda entries, reason: got.append((reason, len(entries)))
    )
    for _ in range(1500):
        logger.info("x" * 1000)
    forklog_transport.release()
    assert not handler.flush(20)
    wait_until(lambda: sum(n for _, n in got) == handler.stats().dropped["buffer_full"])
    assert {reason for reason, _ in got} == {"buffer_full"}


def test_what_on_drop_gets_is_bounded_too(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """While the server hangs, no more than a buffer's bytes are kept for the callback."""
    kept: list[bytes] = []
    forklog_transport.then(Hang())
    logger, handler = make_logger(
        max_buffer_bytes=2**20, on_drop=lambda entries, _reason: kept.extend(entries)
    )
    for _ in range(4000):
        logger.info("x" * 1000)
    forklog_transport.release()
    assert not handler.flush(20)
    wait_until(lambda: kept)
    assert 0.9 * 2**20 < sum(map(len, kept)) < 1.1 * 2**20
    assert len(kept) < _check(handler).dropped["buffer_full"]


def test_a_server_that_refuses_everything_is_left_in_peace(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """A notice of drops that is refused itself is counted, and does not lead to the next one."""
    forklog_transport.then(Fail(400, times=99))
    logger, handler = make_logger(max_latency=0)
    logger.info("bad")
    forklog_transport.wait_until(lambda: handler.stats().dropped == {"refused": 2})
    time.sleep(0.3)
    assert len(forklog_transport.sent) == 2
    _check(handler)


def test_a_pipeline_that_ended_when_idle_starts_again(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """A handler that was closed in uWSGI's master and still logs in a worker goes on delivering."""
    logger, handler = make_logger(max_latency=0.01)
    handler._gate.product.stop_when_idle()
    for number in range(5):
        logger.error("%d", number)
        forklog_transport.wait_for(number + 1)
        assert handler.flush(10)
        forklog_transport.wait_until(lambda: handler.stats().state == "inert", 10)
    assert _texts(forklog_transport) == [*map(str, range(5))]
    _check(handler)


def test_a_slow_on_drop_holds_up_no_thread(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """While the callback takes its time, stats and flush obey their deadlines; it may log."""
    over, begun = threading.Event(), threading.Event()

    def on_drop(_entries: Sequence[bytes], reason: str) -> None:
        begun.set()
        over.wait(20)
        if reason == "refused":
            assert not handler.flush(20), "in its own thread it can only say no, at once"
            logger.info("from the callback")

    forklog_transport.then(Refuse(0))
    logger, handler = make_logger(max_latency=0, on_drop=on_drop)
    logger.info("bad")
    assert begun.wait(10)
    logger.info("good")
    start = time.monotonic()
    _check(handler)
    assert not handler.flush(0.2)
    assert time.monotonic() - start < 3
    over.set()
    forklog_transport.wait_until(
        lambda: {"good", "from the callback"} <= set(_texts(forklog_transport)), 10
    )


def test_block_timeout_waits_for_room(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """With block_timeout a slow server slows the callers down, and nothing is dropped."""
    forklog_transport.then(Hang())
    logger, handler = make_logger(max_buffer_bytes=2**20, block_timeout=20)
    done = threading.Event()

    def log() -> None:
        for _ in range(3000):
            logger.info("x" * 1000)
        done.set()

    thread = threading.Thread(target=log)
    thread.start()
    wait_until(lambda: handler.stats().pending_bytes > 2**20)
    assert not done.wait(0.3), "it should have waited for room"
    forklog_transport.release()
    assert done.wait(20)
    thread.join()
    assert handler.flush(20)
    assert _check(handler).delivered == 3000


def test_block_timeout_is_a_bound(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """A log call on a full buffer takes block_timeout at most, then the buffer drops."""
    forklog_transport.then(Hang())
    logger, handler = make_logger(max_buffer_bytes=2**20, block_timeout=0.2)
    while handler.stats().pending_bytes < 2**20 - 50_000:
        logger.info("x" * 20_000)
    for _ in range(2):
        logger.info("x" * 20_000)
    start = time.monotonic()
    logger.info("x" * 20_000)
    assert 0.1 < time.monotonic() - start < 1
    assert _check(handler).dropped["buffer_full"] >= 1


def test_close_delivers_what_is_pending(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Close waits for nothing but the wire, ends the thread, and may be called again."""
    logger, handler = make_logger(max_latency=30)
    logger.info("a")
    start = time.monotonic()
    handler.close()
    handler.close()
    assert time.monotonic() - start < 5
    assert _texts(forklog_transport) == ["a"]
    assert handler.stats().state == "closed"


def test_close_delivers_what_a_log_call_under_way_offers_in_its_last_moment(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """It began before the close, and found the thread asleep that the close has just ended."""
    logger, handler = make_logger(forklog_transport)
    logger.info("before")
    assert handler.flush(20)
    pipeline = handler._gate.product
    record = logger.makeRecord("x", logging.INFO, "file", 1, "under way", (), None)
    offer, end_thread = pipeline.offer, pipeline.worker.end_thread
    item = handler._encode(record, pipeline.opening)

    def end_late(*args: Any, **options: Any) -> None:
        offer(*item)
        end_thread(*args, **options)

    pipeline.worker.end_thread = end_late
    handler.close()
    assert _texts(forklog_transport) == ["before", "under way"]
    assert not _check(handler).dropped


@pytest.mark.parametrize("outcome", [Hang(times=99), Fail(503, times=99), Disconnect(times=99)])
def test_close_is_bounded(
    make_logger: Make, forklog_transport: FakeTransport, tmp_path: Path, outcome: Any
) -> None:
    """With the server gone close takes shutdown_timeout + 1 s; the last resort has the entries."""
    lost = tmp_path / "lost"
    forklog_transport.then(outcome)
    logger, handler = make_logger(shutdown_timeout=0.5, last_resort=str(lost))
    for n in range(5):
        logger.info("n%d", n)
    start = time.monotonic()
    handler.close()
    assert time.monotonic() - start < 1.5
    assert [b"n%d" % n in line for n, line in enumerate(lost.read_bytes().splitlines())] == [
        True
    ] * 5
    stats = _check(handler)
    assert (stats.diverted, stats.dropped) == ({"file": 5}, {})
    assert (stats.pending, stats.pending_bytes) == (0, 0)


def test_close_while_retrying_tries_once_more(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """A long delay after a failure is cut short by close."""
    forklog_transport.then(Fail(503, retry_after=60))
    logger, handler = make_logger()
    logger.info("a")
    forklog_transport.wait_until(lambda: bool(forklog_transport.sent))
    start = time.monotonic()
    handler.close()
    assert time.monotonic() - start < 2
    assert _texts(forklog_transport) == ["a"]


def test_a_record_after_close_starts_again(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """As with the stock handler, a closed handler works again with the next record."""
    logger, handler = make_logger()
    for n in range(3):
        logger.info("n%d", n)
        handler.close()
    assert _texts(forklog_transport) == ["n0", "n1", "n2"]


def test_an_outage_costs_nothing(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """Records logged during a second of 503 arrive, each stored once, their insertIds in order."""
    forklog_transport.then(Fail(503, seconds=1.0, retry_after=0.05), Deliver())
    logger, handler = make_logger()
    for n in range(300):
        logger.info("n%d", n)
    assert handler.flush(20)
    # What was refused three times is sent in parts, after entries that no request has held yet.
    entries = sorted(forklog_transport.entries, key=operator.itemgetter("insertId"))
    assert [entry["textPayload"] for entry in entries] == [f"n{n}" for n in range(300)]
    assert _check(handler).retries > 2


def test_nothing_of_a_retry_loop_spins(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """An outage of a second costs a few requests, not thousands."""
    forklog_transport.then(Fail(503, seconds=1.0))
    logger, handler = make_logger(max_retry_delay=0.3)
    logger.info("a")
    assert handler.flush(20)
    assert handler.stats().requests < 60


class _Slow:
    """A wire that measures how many callers are in it."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.stored: list[bytes] = []

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)
        self.stored += entries
        self.inside -= 1
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


def test_closing_under_fire_loses_nothing(make_logger: Make, tmp_path: Path) -> None:
    """Four threads log, flush and close: each record is stored once, or in the last resort."""
    wire, lost = _Slow(), tmp_path / "lost"
    logger, handler = make_logger(wire, max_latency=0, last_resort=str(lost))

    def work() -> None:
        for n in range(60):
            logger.info("n")
            if n % 20 == 0:
                handler.flush()
            if n % 31 == 0:
                handler.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.close()
    rest = lost.read_bytes().splitlines() if lost.exists() else []
    assert len(rest) < 5, "only what was in the middle of a log call at the close"
    assert len(wire.stored) + len(rest) == len({*wire.stored, *rest}) == 240


def test_one_connection_one_thread(make_logger: Make) -> None:
    """Logging and flushing from many threads never uses the connection twice at once."""
    wire = _Slow()
    logger, handler = make_logger(wire, max_latency=0)

    def work() -> None:
        for _ in range(60):
            logger.info("n")
            handler.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.most == 1
    assert len(wire.stored) == 240


def test_the_counts_of_a_closed_handler_stay(make_logger: Make) -> None:
    """After close, a flush (as by logging.shutdown) succeeds and leaves the counts to be read."""
    logger, handler = make_logger()
    logger.info("a")
    handler.close()
    assert handler.flush()
    assert (handler.stats().state, handler.stats().delivered) == ("closed", 1)


def test_the_accounts_hold_while_the_last_resort_is_written(
    make_logger: Make, forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given up is pending until it is written, which may take its time, then diverted."""
    seen: list[Any] = []

    class Slow:
        encoding = "utf-8"

        def write(self, _text: str) -> None:
            seen.append(handler.stats())

        def flush(self) -> None:
            return

    forklog_transport.then(Fail(503, times=10**6))
    logger, handler = make_logger(shutdown_timeout=0.05, last_resort="stderr")
    for n in range(10):
        logger.info("%d", n)
    monkeypatch.setattr("sys.__stderr__", Slow())
    monkeypatch.setattr("sys.stderr", Slow())
    handler.close()
    assert seen
    assert all((s.accepted, s.pending, s.diverted, s.dropped) == (10, 10, {}, {}) for s in seen[:1])
    assert (_check(handler).diverted, handler.stats().pending) == ({"stderr": 10}, 0)


def test_a_late_offer_during_the_writing_of_another_is_given_up_as_well(make_logger: Make) -> None:
    """It wakes none, since the alarm went off already: whoever writes looks again.

    The class of fault: an entry that a closed pipeline keeps for ever, neither sent nor counted.
    """
    logger, handler = make_logger()
    logger.info("a")
    pipeline: Any = handler._gate.product
    handler.close()
    pipeline._following = None  # else that takes what is late

    class Slow:
        def write(self, entries: Sequence[bytes], _reason: str) -> dict[str, int]:
            if not written:
                written.append(len(entries))
                other = threading.Thread(target=pipeline.offer, args=(5, b'{"insertId":"2"}'))
                other.start()
                other.join()
            return {"elsewhere": len(entries)}

    written: list[int] = []
    pipeline.sender._last_resort = Slow()
    pipeline.offer(5, b'{"insertId":"1"}')
    stats = pipeline.stats()
    assert (written, stats.pending, stats.diverted) == ([1], 0, {"elsewhere": 2})


def test_a_record_that_cannot_be_encoded_is_accounted_for(
    make_logger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was accepted and is dropped as ``encode``; logging's rules say so; its neighbours come."""

    class Broken:
        def encode_lenient(self, *_: object) -> None:
            raise ZeroDivisionError

    logger, handler = make_logger()
    logger.info("good")
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler._encode, handler._encoder = (lambda *_: None), Broken()  # type: ignore[assignment]
    logger.info("bad")
    assert not handler.flush()
    stats = _check(handler)
    assert dict(stats.dropped) == {"encode": 1}
    assert stats.delivered in (1, 2)  # the second is the notice of the drop


def test_what_was_dropped_last_is_still_reported_to_the_log(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """A drop right before close: its notice is delivered within the deadline of close."""
    # All is settled while the callback sleeps, but its notice is not made yet.
    logger, handler = make_logger(max_latency=0.2, on_drop=lambda *_: time.sleep(1.5))
    logger.info("the first one goes at once")
    assert handler.flush()
    forklog_transport.then(Refuse(0))
    logger.info("bad")
    logger.info("good")
    handler.close()
    (notice,) = _notices(forklog_transport)
    assert notice["message"] == "forklog dropped 1 entries (refused)"
    assert _check(handler).dropped == {"refused": 1}


def test_closing_does_not_hammer_a_server_in_trouble(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """An attempt at once, then ever fewer: in a second and a half not more than eight."""
    forklog_transport.then(Fail(503, times=10**6, retry_after=60))
    logger, handler = make_logger(shutdown_timeout=1.5)
    logger.info("a")
    forklog_transport.wait_until(lambda: bool(forklog_transport.sent))
    start = time.monotonic()
    handler.close()
    assert time.monotonic() - start > 1.4
    assert 2 <= len(forklog_transport.sent) <= 9


def test_a_burst_of_errors_shares_requests(
    make_logger: Callable[..., Any], forklog_transport: FakeTransport
) -> None:
    """Records above flush_level go at once, but the next ones no sooner than 0.02 s after them."""
    logger, handler = make_logger(max_latency=60)
    start = time.monotonic()
    for number in range(300):
        logger.error("error %d", number)
        time.sleep(0.0005)
    forklog_transport.wait_for(300)
    most = (time.monotonic() - start) / 0.02 + 2
    assert len(forklog_transport.sent) <= most
    assert handler.flush(10)
    assert handler.stats().delivered == 300


def test_a_record_of_a_quiet_process_is_sent_soon(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """After a pause of twice `max_latency` it waits 10 ms, not a minute; what follows waits."""
    logger, handler = make_logger(max_latency=60.0)
    logger.warning("the first, which starts the thread")
    forklog_transport.wait_for(1)
    pacing = handler._gate.product.sender.pacing
    wait_until(lambda: pacing.sent_at > 0)
    pacing.sent_at -= 120.0  # the pause
    logger.warning("after the pause")
    assert len(forklog_transport.wait_for(2, 30)) == 2
    logger.warning("in company")
    assert handler.stats().pending == 1
    assert len(forklog_transport.entries) == 2
    handler.close()
    assert len(forklog_transport.entries) == 3


def test_flush_waits_for_what_a_close_under_way_has_not_settled(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Another thread closes while the server hangs: a later flush vouches for its entries, too."""
    forklog_transport.then(Hang())
    logger, handler = make_logger(max_latency=0.01, shutdown_timeout=20)
    logger.error("old")
    forklog_transport.wait_until(lambda: len(forklog_transport.sent) == 1)
    first = handler._gate.product
    closing = [threading.Thread(target=handler.close) for _ in range(2)]
    closing[0].start()
    wait_until(lambda: first.is_closing)
    forklog_transport.then(Hang())
    logger.error("new")
    forklog_transport.wait_until(lambda: len(forklog_transport.sent) == 2)
    assert handler._gate.product is not first
    second = handler._gate.product
    closing[1].start()
    wait_until(lambda: second.is_closing)
    logger.error("newest")
    forklog_transport.wait_until(lambda: "newest" in _texts(forklog_transport))
    assert not handler.flush(0.1)
    assert _check(handler).pending == 2
    forklog_transport.release()
    assert handler.flush()
    assert sorted(_texts(forklog_transport)) == ["new", "newest", "old"]
    assert _check(handler).delivered == 3
    for thread in closing:
        thread.join()
