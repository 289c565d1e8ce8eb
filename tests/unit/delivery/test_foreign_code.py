"""Code of the application in the flush thread: ``on_drop``, and a transport of its own.

Whatever it raises, BaseExceptions included, the thread lives on, and neither loops without a pause.
What ``on_drop`` logs cannot feed it for ever. Siblings that were tried: each of `open`, `send` and
`close` of a transport, each kind of exception that no ``except Exception`` catches.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from helpers import check_python, wait_until

from forklog import CloudLoggingHandler
from forklog.testing import Fail, FakeTransport
from forklog.transports.base import Kind, Verdict

if TYPE_CHECKING:
    from forklog.snapshot import Stats

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_MOST_ATTEMPTS = 8  # in a second, by a backoff that begins with half a second


class Odd(BaseException):
    """What no ``except Exception`` catches."""


_KINDS = [Odd, SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError]


@pytest.mark.parametrize("kind", _KINDS)
def test_an_on_drop_that_raises_anything(
    make_logger: Make, forklog_transport: FakeTransport, kind: type[BaseException]
) -> None:
    """The flush thread lives on and delivers what follows; the callback is called once a drop."""
    calls: list[int] = []

    def on_drop(entries: Sequence[bytes], _reason: str) -> None:
        calls.append(len(entries))
        raise kind

    logger, handler = make_logger(on_drop=on_drop, max_latency=0.001)
    for number in range(3):
        forklog_transport.then(Fail(400))
        logger.error("bad %d", number)
        assert not handler.flush(10), "it was dropped"
        logger.error("good %d", number)
        wait_until(lambda n=number: f"good {n}" in _texts(forklog_transport))  # type: ignore[misc]
    wait_until(lambda: not handler.stats().pending)
    assert sum(calls) == handler.stats().dropped["refused"] == 3
    assert len(calls) == 3


@pytest.mark.parametrize("answer", [400, 503])
def test_an_on_drop_that_logs_what_is_dropped_again(
    make_logger: Make, forklog_transport: FakeTransport, answer: int
) -> None:
    """Neither a server that refuses all nor an overflow has the callback feed itself for ever."""
    given: list[bytes] = []
    over: list[bool] = []

    def on_drop(entries: Sequence[bytes], _reason: str) -> None:
        given.extend(entries)
        for _ in entries if not over else ():
            logger.warning("%s", "dropped" * 100)

    forklog_transport.then(Fail(answer, times=10**6))
    logger, handler = make_logger(on_drop=on_drop, max_buffer_bytes=2**20, max_retry_delay=0.01)
    for _ in range(100 if answer == 400 else 3000):
        logger.info("x" * 1000)
    wait_until(lambda: given)
    wait_until(lambda: answer == 503 or not handler.stats().pending, 40)
    state: list[int] = []

    def is_calm() -> bool:
        """Tell whether nothing was logged since the last call but one."""
        state.append(handler.stats().accepted)
        time.sleep(0.3)
        return len(state) > 2 and state[-3] == state[-1]

    wait_until(is_calm, 30)
    assert all(b"dropped" * 100 not in entry for entry in given), "its own"
    stats = handler.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending
    over.append(True)  # a record that is logged while the handler closes would start it again


class _Wire:
    """A transport whose methods raise what they are given."""

    def __init__(self) -> None:
        self.inner = FakeTransport()
        self.raised: dict[str, BaseException] = {}
        self.calls: list[str] = []
        self.verdict: Verdict | None = None

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.raised:
            raise self.raised[name]

    def open(self) -> _Wire:
        self._call("open")
        self._connection = self.inner.open()
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        self._call("send")
        return self.verdict or self._connection.send(entries, timeout)

    def close(self) -> None:
        self._call("close")


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("method", ["open", "send", "close"])
def test_a_transport_that_raises_anything(
    make_logger: Make, method: str, kind: type[BaseException]
) -> None:
    """Nothing is lost, the attempts keep their pace; all arrives once the method works."""
    wire: Any = _Wire()
    wire.raised[method] = kind()
    if method == "close":  # which a blocked wire is between two attempts
        wire.verdict = Verdict(Kind.BLOCKED, "forbidden", delay=0.3)
    logger, handler = make_logger(wire, max_latency=0.001)
    logger.error("kept")
    wait_until(lambda: method in wire.calls)
    logger.info("kept, too")
    time.sleep(1.0)
    assert wire.calls.count(method) <= _MOST_ATTEMPTS
    assert handler.stats().pending == 2
    assert not handler.flush(0.05)
    wire.raised.clear()
    wire.verdict = None
    assert handler.flush(20), handler.stats()
    assert sorted(_texts(wire.inner)) == ["kept", "kept, too"]
    assert handler.stats().delivered == 2
    handler.close()
    wire.inner.close()


@pytest.mark.parametrize("kind", _KINDS)
def test_a_connection_that_raises_as_the_handler_closes(
    make_logger: Make, kind: type[BaseException]
) -> None:
    """What the connection's close raises stays inside: the handler is closed, all is delivered.

    But a BaseException in the main thread, which may be a signal handler's.
    """
    wire: Any = _Wire()
    wire.raised["close"] = kind()
    logger, handler = make_logger(wire, max_latency=0.001)
    logger.error("sent")
    assert handler.flush(10)
    if issubclass(kind, Exception):
        handler.close()
    else:
        with pytest.raises(kind):
            handler.close()
    handler.close()
    assert handler.stats().state == "closed"
    assert handler.stats().delivered == 1
    wire.inner.close()


def test_stats_over_a_close(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """The sums add up and never fall, whoever reads them while handlers close and begin again.

    Class of fault: a sum falls where a pipeline ends or another thread counts; siblings:
    `test_an_overflow_during_a_snapshot_is_in_its_sum`.
    """
    logger, handler = make_logger(max_latency=0.001)
    seen: list[Stats] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(handler.stats())

    thread = threading.Thread(target=watch)
    thread.start()
    for number in range(30):
        logger.info("%d", number)
        handler.close()
    logger.info("last")
    assert handler.flush(10)
    over.set()
    thread.join()
    for before, after in itertools.pairwise(seen):
        assert before.accepted <= after.accepted
        assert before.delivered <= after.delivered
        assert after.accepted == after.delivered + sum(after.dropped.values()) + after.pending
    assert handler.stats().delivered == handler.stats().accepted == 31
    assert len(forklog_transport.entries) == 31


def test_a_close_that_ctrl_c_interrupts_and_another_one() -> None:
    """KeyboardInterrupt comes out of close(); the handler stays open; the next close delivers."""
    check_python(
        """
        import logging, os, signal, threading, time
        import forklog
        from forklog.testing import FakeTransport, Hang
        transport = FakeTransport(Hang())
        handler = forklog.CloudLoggingHandler(
            transport=transport, max_latency=0.001, shutdown_timeout=30, last_resort="none")
        log = logging.Logger("interrupted")
        log.addHandler(handler)
        for number in range(5):
            log.info("%d", number)
        def press():
            while not interrupted:
                time.sleep(0.3)
                os.kill(os.getpid(), signal.SIGINT)
                return
        interrupted = []
        for _ in range(2):
            thread = threading.Thread(target=press)
            thread.start()
            began = time.monotonic()
            try:
                handler.close()
            except KeyboardInterrupt:
                interrupted.append(time.monotonic() - began)
            thread.join()
            interrupted, kept = [], interrupted
            assert kept and kept[0] < 20, kept
            stats = handler.stats()
            assert stats.state == "running" and stats.pending == 5 and not stats.dropped, stats
        log.info("between")
        transport.release()
        handler.close()
        stats = handler.stats()
        assert stats.state == "closed" and stats.delivered == 6 and not stats.pending, stats
        assert sorted(e["textPayload"] for e in transport.entries) == [*"01234", "between"]
        """,
        is_covered=False,
    )


def _texts(transport: FakeTransport) -> list[str]:
    return [entry["textPayload"] for entry in transport.entries if "textPayload" in entry]
