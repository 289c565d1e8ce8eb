"""Entries that are logged while a handler closes: each is sent, or given up, and counted once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from forklog import CloudLoggingHandler
from forklog.snapshot import Stats
from forklog.transports.base import Connection, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forklog.testing import FakeTransport


@pytest.fixture
def handler(forklog_transport: FakeTransport) -> Iterator[Any]:
    """Return a handler that has logged and delivered one record; closed after the test."""
    made = CloudLoggingHandler(transport=forklog_transport, max_latency=0.01, last_resort="none")
    _log(made, "first")
    assert made.flush(10)
    yield made
    made.close()


def _entry(pipeline: Any, text: str) -> bytes:
    opening: bytes = pipeline.opening()
    return opening + b'","timestamp":"2026-01-01T00:00:00Z","textPayload":"%b"}' % text.encode()


def _log(handler: Any, text: str) -> None:
    pipeline = handler._gate.current()
    pipeline.offer(2, _entry(pipeline, text))


def _texts(transport: FakeTransport) -> list[str]:
    return [entry["textPayload"] for entry in transport.entries]


def _check(handler: Any, accepted: int) -> None:
    stats = handler.stats()
    settled = stats.delivered + sum(stats.dropped.values())
    assert (stats.accepted, stats.pending, settled) == (accepted, 0, accepted), stats


def test_a_late_entry_goes_to_the_pipeline_after(
    handler: Any, forklog_transport: FakeTransport
) -> None:
    """It is sent by that one, once, and counted once."""
    pipeline = handler._gate.product
    handler.close()
    pipeline.offer(2, _entry(pipeline, "late"))
    assert handler.flush(10)
    assert _texts(forklog_transport) == ["first", "late"]
    _check(handler, 2)


def test_a_late_entry_of_a_pipeline_two_closes_ago(
    handler: Any, forklog_transport: FakeTransport
) -> None:
    """The sums of a closed pipeline are not kept while an entry waits in it."""
    pipeline = handler._gate.product
    handler.close()
    _log(handler, "second")
    handler.close()
    pipeline.offer(2, _entry(pipeline, "late"))
    assert handler.flush(10)
    assert _texts(forklog_transport) == ["first", "second", "late"]
    _check(handler, 3)


def test_a_closed_pipeline_that_passes_for_the_present_one(handler: Any) -> None:
    """A close that was interrupted beside another one may leave a closed pipeline its mark.

    Closes the class: a loop that hands an entry on to itself, for ever.
    """
    pipeline = handler._gate.product
    handler.close()
    pipeline._following = lambda: pipeline
    pipeline.mark[0] = 1
    thread = threading.Thread(target=pipeline.offer, args=(2, _entry(pipeline, "late")))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert not pipeline.mark[0]
    assert handler.stats().dropped == {"closed": 1}
    _check(handler, 2)


def test_two_threads_hand_the_same_entry_on(handler: Any, forklog_transport: FakeTransport) -> None:
    """Whichever takes it out of the closed pipeline hands it on; the other one does not."""
    pipeline, genuine = handler._gate.product, handler._gate.current
    entries = [_entry(pipeline, text) for text in ("late", "later")]
    end_thread = pipeline.worker.end_thread
    is_first = []

    def end_late(*args: Any, **options: Any) -> None:
        end_thread(*args, **options)
        pipeline.offer(2, entries[0])

    def following() -> Any:
        if not is_first:  # the closing thread: another one comes by just now
            is_first.append(True)
            other = threading.Thread(target=pipeline.offer, args=(2, entries[1]))
            other.start()
            other.join(20)
        return genuine()

    pipeline.worker.end_thread, pipeline._following = end_late, following
    handler.close()
    assert handler.flush(10)
    assert sorted(_texts(forklog_transport)) == ["first", "late", "later"]
    _check(handler, 3)


def _check_growth(shown: list[Stats], accepted: int) -> None:
    for stats in shown:
        assert stats.accepted == stats.delivered + stats.pending, stats
        assert stats.accepted == accepted, stats


def test_a_snapshot_in_the_middle_of_a_hand_on(handler: Any) -> None:
    """The entry, which is in none of two pipelines, is pending: ``accepted`` does not fall."""
    pipeline = handler._gate.product
    handler.close()
    after = handler._gate.current()
    genuine, shown = after.offer, list[Stats]()

    def look() -> None:
        shown.append(handler.stats())

    def following() -> Any:
        look()
        return after

    def offer(rank: int, entry: bytes) -> None:
        look()
        genuine(rank, entry)
        look()

    pipeline._following, after.offer = following, offer
    pipeline.offer(2, _entry(pipeline, "late"))
    look()
    assert len(shown) == 4
    _check_growth(shown, 2)
    assert handler.flush(10)
    _check(handler, 2)


def test_a_hand_on_in_the_middle_of_a_snapshot(handler: Any) -> None:
    """No entry goes from a pipeline that is still to be read to one that was read already."""
    pipeline = handler._gate.product
    handler.close()
    after = handler._gate.current()
    snapshot, shown = after.sender.ledger.snapshot, list[Stats]()
    has_come, may_go = threading.Event(), threading.Event()

    def following() -> Any:
        has_come.set()
        assert may_go.wait(20)
        return after

    def and_hand_on(*args: Any, **fields: Any) -> Any:
        own = snapshot(*args, **fields)
        may_go.set()
        thread.join(0.5)  # it waits for the end of the snapshot
        return own

    pipeline._following = following
    thread = threading.Thread(target=pipeline.offer, args=(2, _entry(pipeline, "late")))
    thread.start()
    assert has_come.wait(20)
    shown.append(handler.stats())
    after.sender.ledger.snapshot = and_hand_on
    shown.append(handler.stats())
    thread.join(20)
    after.sender.ledger.snapshot = snapshot
    shown.append(handler.stats())
    _check_growth(shown, 2)
    assert handler.flush(10)
    _check(handler, 2)


def test_a_late_entry_that_a_server_refuses_is_given_up(forklog_transport: FakeTransport) -> None:
    """Set aside in the last passes of a close, it would be pending in a closed pipeline."""

    class Asking:
        def open(self) -> Connection:
            return self

        def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
            del timeout
            again = [i for i, entry in enumerate(entries) if b"refused" in entry]
            return Verdict(Kind.DELIVERED, again=frozenset(again), is_of_content=bool(again))

        def close(self) -> None:
            pass

    handler: Any = CloudLoggingHandler(
        transport=Asking(), max_latency=0.01, last_resort="none", max_retry_delay=0.05
    )
    _log(handler, "first")
    assert handler.flush(10)
    pipeline = handler._gate.product
    end_thread = pipeline.worker.end_thread

    def end_late(*args: Any, **options: Any) -> None:
        for text in ("refused", "good"):
            pipeline.offer(2, _entry(pipeline, text))
        end_thread(*args, **options)

    pipeline.worker.end_thread = end_late
    handler.close()
    _check(handler, 3)
    assert forklog_transport.entries == []
