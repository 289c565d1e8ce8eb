"""Outages, with the emulator's real faults: nothing lost silently, nothing shown twice.

Each test of an outage states its numbers; ``pytest -rP tests/test_faults.py`` shows them.
"""

from __future__ import annotations

import collections
import json
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from helpers import check_python, state_numbers, wait_until

from forklog.delivery.buffer import Buffer
from forklog.delivery.losses import Overflow
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.sender import Sender
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Kind, Verdict, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forklog import CloudLoggingHandler, Stats
    from forklog.emulator.process import Emulator

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_MIB = 2**20
_QUICK = {"max_retry_delay": 0.2, "answer_timeout": 10.0, "connect_timeout": 2.0}


class _Trouble:
    """A handler before the emulator, and the accounts of both."""

    def __init__(self, make_logger: Make, emulator: Emulator, **options: Any) -> None:
        self.emulator = emulator
        self.dropped: list[bytes] = []
        self.options = {"max_buffer_bytes": _MIB, "on_drop": self._on_drop, **_QUICK, **options}
        self.logger, self.handler = make_logger(endpoint=emulator.url, **self.options)
        self.logged = 0
        self.most_bytes = 0
        self._lock = threading.Lock()
        self._start = time.monotonic()

    def _on_drop(self, entries: Sequence[bytes], _reason: str) -> None:
        self.dropped.extend(entries)

    def log(self, level: int = logging.INFO, size: int = 100) -> None:
        with self._lock:
            number = self.logged
            self.logged += 1
        self.logger.log(level, "n=%d %s", number, "x" * size)
        self.most_bytes = max(self.most_bytes, self.handler.stats().pending_bytes)

    def settle(self, what: str) -> Stats:
        """Wait until all is settled, compare with the emulator, and state the numbers."""
        wait_until(lambda: self.handler.flush(60), 60)  # each loss makes one flush say False
        wait_until(lambda: not self.handler.stats().pending, 20)
        stats = self.handler.stats()
        entries = self.emulator.entries()
        texts = [_name(entry) for entry in entries if "textPayload" in entry]
        notices = len(entries) - len(texts)
        shown = collections.Counter(texts)
        dropped = sum(stats.dropped.values())
        lost = self.logged - len(shown) - dropped
        twice = sum(count - 1 for count in shown.values())
        copies = sum(entry["copies"] - 1 for entry in self.emulator.duplicates())
        state_numbers(
            f"{what}: logged {self.logged}, shown {len(shown)}, dropped {dict(stats.dropped)}, "
            f"lost silently {lost}, shown twice {twice} ({copies} copies hidden by insertId), "
            f"notices {notices}, requests {stats.requests}, retries {stats.retries}, memory at "
            f"most {self.most_bytes / _MIB:.2f} MiB, {time.monotonic() - self._start:.1f} s"
        )
        assert stats.accepted == stats.delivered + dropped
        assert (lost, twice) == (0, 0)
        # One record of each logging thread may be over the bound for a moment.
        assert self.most_bytes <= self.options["max_buffer_bytes"] + 10_000
        return stats


def _name(entry: dict[str, Any]) -> str:
    return str(entry["textPayload"]).split()[0]


def _arm(emulator: Emulator, kind: str, **options: Any) -> None:
    """Arm a fault, also in an emulator that is just coming back from an outage."""
    emulator.wait_for(lambda _entries: True, 20, filter='severity = "EMERGENCY"')
    emulator.fault(kind, **options)


@pytest.fixture
def trouble(make_logger: Make, emulator: Emulator) -> Iterator[Callable[..., _Trouble]]:
    """Return a function that makes a handler before the emulator; its faults end with the test."""
    yield lambda **options: _Trouble(make_logger, emulator, **options)
    emulator.clear_faults()


def test_down_at_the_start(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """The server comes up a second after the first records: all of them arrive."""
    emulator.fault("outage", seconds=1.0)
    w = trouble()
    for _ in range(500):
        w.log()
    assert not w.handler.flush(0.2)
    stats = w.settle("down at the start")
    assert stats.retries >= 1
    assert not stats.dropped


def test_down_for_longer_than_the_buffer_lasts(
    trouble: Callable[..., _Trouble], emulator: Emulator
) -> None:
    """DEBUG is dropped, oldest first, every ERROR arrives, and the log says what it lacks.

    Class of fault: what cannot be dropped fills the buffer, so that an outage drops ERROR too;
    siblings: `test_a_batch_takes_at_most_a_quarter_of_the_buffer`,
    `test_single_entries_that_are_tried_in_an_outage_are_bounded_too`,
    `test_what_is_put_aside_has_a_quarter_of_the_buffer`.
    """
    w = trouble()
    w.log()
    assert w.handler.flush(20)
    emulator.fault("outage", seconds=4)  # longer than 6,000 records take on a busy machine
    errors = 0
    for n in range(6000):
        level = logging.ERROR if n % 100 == 0 else logging.DEBUG
        errors += level == logging.ERROR
        w.log(level, 400)
    stats = w.settle("down for longer than the buffer lasts")
    assert stats.dropped["buffer_full"] > 2000
    entries = emulator.entries()
    assert sum(entry.get("severity") == "ERROR" for entry in entries) == errors
    reported = sum(e["jsonPayload"]["dropped"] for e in entries if "jsonPayload" in e)
    assert reported == stats.dropped["buffer_full"]


def test_slow(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """A server that takes 0.2 s for each request gets larger batches, not more of them."""
    emulator.fault("delay", seconds=0.2, on="write")
    w = trouble()
    start = time.monotonic()
    while time.monotonic() - start < 1.5:
        w.log(size=50)
        time.sleep(0.0005)
    stats = w.settle("slow")
    assert not stats.dropped
    assert stats.requests < 30
    assert stats.delivered / stats.requests > 10


def test_flapping(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """Errors, broken connections, lost answers, short outages at random, under four threads."""
    choose = random.Random(4)  # noqa: S311 - a repeatable storm
    w = trouble(max_buffer_bytes=16 * _MIB)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            w.log()
            time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            kind = choose.choice(["status", "before", "after", "outage"])
            if kind == "status":
                _arm(emulator, "status", status=choose.choice([429, 500, 503]), count=1)
            elif kind == "outage":
                _arm(emulator, "outage", seconds=0.1)
            else:
                _arm(emulator, "drop", when=kind, count=1, on="write")
            time.sleep(0.15)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    emulator.wait_for(lambda _entries: True, 20)
    emulator.clear_faults()
    stats = w.settle("flapping")
    assert stats.retries >= 3
    assert not stats.dropped


def test_half_open(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """Requests that are taken and never answered, stored or not, cost answer_timeout each."""
    w = trouble(answer_timeout=0.4)
    emulator.fault("hang", when="before", count=1, on="write")
    emulator.fault("hang", when="after", count=1, on="write")
    for _ in range(100):
        w.log()
    stats = w.settle("half-open")
    assert stats.retries == 2
    assert emulator.duplicates(), "the second hang had stored the batch"


def test_closing_idle_connections(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """A server that closes after each answer costs neither records nor waiting."""
    emulator.fault("idle_close", on="write")
    w = trouble(max_retry_delay=60.0)
    for _ in range(30):
        w.log()
        assert w.handler.flush(20)
    stats = w.settle("closing idle connections")
    assert stats.delivered == 30
    assert stats.retries <= 30


def test_partial_refusals(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """Three entries of one request are refused: they are handed over, and the rest arrives."""
    for index in (0, 7, 49):
        emulator.fault("refuse", index=index, count=1)
    w = trouble(max_latency=0.3)
    emulator.fault("delay", seconds=0.1, on="write", count=1)
    for _ in range(200):
        w.log()
    stats = w.settle("partial refusals")
    refused = [_name(json.loads(entry)) for entry in w.dropped]
    assert stats.dropped["refused"] == len(refused) >= 1
    shown = {_name(entry) for entry in emulator.entries() if "textPayload" in entry}
    assert shown.isdisjoint(refused)


def test_429_with_retry_after(trouble: Callable[..., _Trouble], emulator: Emulator) -> None:
    """With a Retry-After of half a second, three times, it comes back then and not before."""
    emulator.fault("status", status=429, retry_after=0.5, count=3, on="write")
    w = trouble()
    start = time.monotonic()
    for _ in range(100):
        w.log()
    stats = w.settle("429 with Retry-After")
    assert time.monotonic() - start > 1.4
    assert stats.retries == 3
    assert not stats.dropped


def test_gone_at_the_exit(emulator: Emulator) -> None:
    """The server goes and does not come back: the exit is in time, every entry is on stderr."""
    done = check_python(f"""
        import atexit, logging, sys, time, forklog
        from forklog.emulator.process import Emulator
        emulator = Emulator({emulator.url!r})
        handler = forklog.CloudLoggingHandler(
            endpoint=emulator.url, project="p", shutdown_timeout=0.5, answer_timeout=0.3)
        logging.getLogger().addHandler(handler)
        logging.warning("n=0")
        assert handler.flush(20)
        emulator.fault("outage", seconds=4)
        for n in range(1, 501):
            logging.warning("n=%d", n)
        start = time.monotonic()
        atexit.register(lambda: None)
        handler.close()
        print(time.monotonic() - start)
        stats = handler.stats()
        assert (stats.accepted, stats.delivered) == (501, 1), stats
        assert stats.diverted == {{"stderr": 500}}, stats
    """)
    took = float(done.stdout)
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    kept = {json.loads(line)["textPayload"] for line in lines}
    emulator.wait_for(lambda found: len(found) == 1, 20)
    state_numbers(
        f"gone at the exit: logged 501, shown 1, on stderr {len(kept)}, lost silently "
        f"{501 - 1 - len(kept)}, close took {took:.2f} s at a shutdown_timeout of 0.5 s"
    )
    assert kept == {f"n={n}" for n in range(1, 501)}
    assert took < 0.5 + 1.0 + 4.0, "the last term is for a loaded machine"


# -- ten minutes of outage, by a clock that the test moves -----------------------------------------


class _Outage:
    """A wire that is down from minute 1 to minute 11 of the test's clock."""

    down = (60.0, 660.0)

    def __init__(self) -> None:
        self.now = 0.0
        self.attempts = 0
        self.batches: list[tuple[float, list[bytes]]] = []

    def open(self) -> _Outage:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        self.now += 0.2  # what a request takes
        if self.down[0] <= self.now < self.down[1]:
            self.attempts += 1
            raise WireError("no connection to the server")
        self.batches.append((self.now, list(entries)))
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


def test_a_quota_is_named_on_stderr_once(
    make_logger: Make, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """Requests that are taken, refused, taken and refused: one line, with the quota and its page.

    It was silent until one batch had been refused three times, which a gap makes rare.
    """
    logger, handler = make_logger(endpoint=emulator.url)
    for refused in (1, 2):
        emulator.fault("quota", per_second=0.01)  # the first request is taken
        logger.warning("taken")
        assert handler.flush(20)
        logger.warning("refused")
        wait_until(lambda number=refused: emulator.stats()["faults"] >= number)
        emulator.clear_faults()
        assert handler.flush(20)
    wait_until(lambda: handler.stats().delivered == 4)
    handler.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert ": a quota delays the logs: 429 RESOURCE_EXHAUSTED: Quota exceeded" in line
    reported = (
        "the project's quota 'Write requests per minute' is used up; fewer requests are sent, "
    )
    assert reported in line
    assert line.endswith("raise it at https://console.cloud.google.com/iam-admin/quotas?project=p")


def test_an_outage_of_ten_minutes() -> None:
    """200 records a second: the bound holds, ERRORs survive, the backlog goes in large batches."""
    options = Options(on_drop=lambda _entries, _reason: None)
    wire, ids = _Outage(), InsertIds()
    lines: list[str] = []
    buffer = Buffer(options.max_buffer_bytes, lambda: None)
    report = StderrReporter(lines.append, lambda: wire.now)
    sender = Sender(options, buffer, wire, report, random.Random(4).random)  # noqa: S311
    overflow = Overflow(options.max_buffer_bytes, buffer, sender.ledger, sender.losses)
    born: dict[bytes, float] = {}
    logged, errors, most, next_attempt, tick = 0, set(), 0, 0.0, 0.0
    while tick < 780.0:
        tick += 0.1
        wire.now = max(wire.now, tick)
        for _ in range(20):
            is_error = logged % 100 == 0
            number = ids.number()
            entry = b'%b%010x","textPayload":"%b"}' % (ids.head, number, b"x" * 300)
            buffer.offer(5 if is_error else 1, entry)
            born[entry] = tick
            logged += 1
            if is_error:
                errors.add(entry)
        most = max(most, buffer.bytes)
        if wire.now <= tick and tick >= next_attempt:
            if sender.send_once() is SendResult.LATER:
                next_attempt = wire.now + sender.delay
            overflow.report()
    while sender.send_once() is SendResult.SENT:
        pass
    overflow.report()

    sent = [entry for _, batch in wire.batches for entry in batch]
    after = [(now, batch) for now, batch in wire.batches if now > _Outage.down[1]]
    back = after[0][0]
    caught_up = next(now for now, batch in after if now - born[batch[-1]] < 1.0)
    drain = [batch for now, batch in after if now <= caught_up]
    dropped, delivered = sender.ledger.dropped["buffer_full"], sender.ledger.delivered
    state_numbers(
        f"an outage of 600 s: logged {logged}, delivered {delivered}, dropped {dropped}, no "
        f"ERROR among them, lost silently {logged - delivered - dropped}, "
        f"attempts {wire.attempts}, "
        f"memory at most {most / _MIB:.1f} MiB, back {back - 660:.1f} s after it, caught up "
        f"{caught_up - 660:.1f} s after it in {len(drain)} requests, lines on stderr {len(lines)}"
    )
    # Compared before they are asserted: pytest would explain a difference of 100,000 entries.
    is_once, has_errors = len(set(sent)) == len(sent), errors <= set(sent)
    # Parts of the batches that failed for ten minutes may change places; nothing else does.
    rest = [entry for _, batch in after for entry in batch][-len(sent) // 10 :]
    is_in_order = rest == sorted(rest) and all(batch == sorted(batch) for _, batch in wire.batches)
    assert (is_once, has_errors, is_in_order) == (True, True, True)
    assert logged == len(sent) + dropped == delivered + dropped
    assert most <= options.max_buffer_bytes
    assert 20 <= wire.attempts <= 120
    assert back - 660 <= options.max_retry_delay + 1
    assert len(drain) < 25
    assert caught_up - 660 < 60
    assert len(lines) < 30
