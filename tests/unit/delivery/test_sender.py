"""One pass of work: what each answer does to the entries, the counters and the next delay."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from helpers import wait_until

from forklog.delivery.buffer import Buffer
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.in_flight import PATIENCE
from forklog.delivery.sending.sender import Sender
from forklog.delivery.sinks.last_resort import LastResort
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.testing import Deliver, Disconnect, Fail, FakeTransport, Hang, Outcome, Refuse
from forklog.transports.base import Connection, Envelope, Kind, Verdict, WireError
from forklog.transports.http_verdict import Answer, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class _Bench:
    """A sender with everything around it that a test looks at."""

    def __init__(self, transport: Any, **options: Any) -> None:
        self.lines: list[str] = []
        self.buffer = Buffer(10**7, lambda: None)
        self.transport = transport
        self.sender = Sender(
            Options(**options),
            self.buffer,
            transport,
            StderrReporter(self.lines.append),
            lambda: 1.0,
            last_resort=LastResort(
                options.get("last_resort", "stderr"),
                StderrReporter(),
                lambda: Envelope("l", {}, None),
            ),
        )
        self.ids = InsertIds()
        self.logged = 0

    def log(self, *texts: str) -> None:
        for text in texts:
            entry = b'%b%010x","textPayload":"%b"}'
            number = self.ids.number()
            self.buffer.offer(2, entry % (self.ids.head, number, text.encode()))
            self.logged += 1

    def run(self) -> list[SendResult]:
        """Run passes until nothing is left or a delay is asked for."""
        outcomes = []
        while (outcome := self.sender.send_once()) is SendResult.SENT:
            outcomes.append(outcome)
        return [*outcomes, outcome]

    def texts(self) -> list[str]:
        return [entry["textPayload"] for entry in self.transport.entries]

    def check_accounts(self) -> None:
        stats = self.sender.ledger.snapshot(self.buffer, pid=0, state="")
        assert stats.accepted == self.logged
        settled = stats.delivered + sum(stats.diverted.values()) + sum(stats.dropped.values())
        assert stats.accepted == settled + stats.pending


@pytest.fixture
def bench(forklog_transport: FakeTransport) -> _Bench:
    """Return a bench on the fake transport."""
    return _Bench(forklog_transport)


def _script(bench: _Bench, *outcomes: Outcome) -> None:
    bench.transport.then(*outcomes)


def test_nothing_to_do_touches_no_wire(bench: _Bench) -> None:
    """Without entries no connection is opened."""
    assert bench.sender.send_once() is SendResult.IDLE
    assert bench.sender._wire.connection is None


def test_a_batch_is_delivered_and_counted(bench: _Bench) -> None:
    """Delivered entries leave the buffer, in order, and its bytes."""
    bench.log("a", "b")
    assert bench.run() == [SendResult.SENT, SendResult.IDLE]
    assert bench.texts() == ["a", "b"]
    assert (bench.sender.ledger.delivered, bench.buffer.bytes) == (2, 0)
    bench.check_accounts()


def test_a_failed_batch_is_sent_again_byte_for_byte(bench: _Bench) -> None:
    """The repeated request has the same entries as the first, and none that came meanwhile."""
    _script(bench, Fail(503, times=2))
    bench.log("a", "b")
    assert bench.sender.send_once() is SendResult.LATER
    bench.log("c")
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.run() == [SendResult.SENT, SendResult.SENT, SendResult.IDLE]
    first, second, third, fourth = bench.transport.sent
    assert first.lines == second.lines == third.lines
    assert [entry["textPayload"] for entry in fourth.entries] == ["c"]
    assert (bench.sender.ledger.requests, bench.sender.ledger.retries) == (4, 2)
    bench.check_accounts()


def _sizes(transport: FakeTransport) -> list[int]:
    """Return how many entries each request had that the server took."""
    return [len(request.lines) for request in transport.sent if request.outcome == "deliver"]


def test_new_entries_join_a_batch_that_a_quota_refused(bench: _Bench) -> None:
    """So that a process which may send rarely sends much: one request has the old and the new."""
    _script(bench, Fail(429))
    bench.log("a", "b")
    assert bench.sender.send_once() is SendResult.LATER
    bench.log("c")
    assert bench.sender.send_once() is SendResult.SENT
    assert _sizes(bench.transport) == [3]
    assert bench.texts() == ["a", "b", "c"]
    bench.check_accounts()


@pytest.mark.parametrize("failure", [Fail(503), Disconnect()])
def test_after_any_other_failure_the_same_bytes_go_again(bench: _Bench, failure: Outcome) -> None:
    """The server may have stored them; also where a quota had refused them before that."""
    _script(bench, Fail(429), failure)
    bench.log("a")
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.sender.send_once() is SendResult.LATER
    bench.log("b")
    assert bench.sender.send_once() is SendResult.SENT
    assert bench.texts() == ["a"]
    bench.check_accounts()


def test_a_batch_that_is_filled_keeps_the_limits(forklog_transport: FakeTransport) -> None:
    """Entries and bytes of one request, and a quarter of the buffer, whatever waits."""
    bench = _Bench(forklog_transport, max_batch_entries=5)
    _script(bench, Fail(429))
    bench.log("a", "b")
    bench.sender.send_once()
    bench.log(*"cdefgh")
    assert bench.run()[-1] is SendResult.IDLE
    assert _sizes(forklog_transport) == [5, 3]
    bench.check_accounts()


def test_the_gap_grows_with_refusals_by_a_quota_alone(bench: _Bench) -> None:
    """A 503 leaves it alone, each 429 doubles it, a success shortens it."""
    gap = bench.sender.pacing.gap
    _script(bench, Fail(503), Fail(429), Fail(429))
    bench.log("a")
    gaps = []
    for _ in range(4):
        bench.sender.send_once()
        gaps.append(gap())
    assert gaps == [0.0, 0.5, 1.0, pytest.approx(1 / 1.01)]
    assert bench.sender.pacing.seconds_to_next() == pytest.approx(1.5 / 1.01)


def test_the_delay_doubles_and_the_server_may_set_it(bench: _Bench) -> None:
    """The delay is the backoff's, or Retry-After's, half of it and a share of the gap."""
    _script(bench, Fail(500, times=2), Fail(429, retry_after=7.5))
    bench.log("a")
    delays = []
    for _ in range(3):
        assert bench.sender.send_once() is SendResult.LATER
        delays.append(bench.sender.delay)
    assert delays == [1.0, 2.0, 1.5 * 7.5 + 0.75 * 0.5]


def test_halving_finds_the_one_bad_entry() -> None:
    """A request that is refused as a whole costs exactly the entry that is at fault."""
    bench = _Bench(_Strict(b"poison"))
    bench.log(*(f"t{n}" for n in range(37)), "poison", *(f"u{n}" for n in range(20)))
    bench.run()
    texts = [entry.split(b'"textPayload":"')[1][:-2].decode() for entry in bench.transport.stored]
    assert texts == [*(f"t{n}" for n in range(37)), *(f"u{n}" for n in range(20))]
    assert bench.sender.ledger.dropped == {"refused": 1}
    assert bench.sender.ledger.requests < 15
    bench.check_accounts()


def test_an_entry_too_large_for_the_server_is_dropped_as_such() -> None:
    """413 is halved too; the last entry is dropped as too_large."""
    bench = _Bench(_Strict(b"poison", 413))
    bench.log("a", "poison", "b")
    bench.run()
    assert len(bench.transport.stored) == 2
    assert bench.sender.ledger.dropped == {"too_large": 1}


def test_partial_errors_cost_the_named_entry_alone(bench: _Bench) -> None:
    """The neighbours of a refused entry arrive with the same request."""
    _script(bench, Refuse(1))
    bench.log("a", "b", "c")
    assert bench.run() == [SendResult.SENT, SendResult.IDLE]
    assert bench.texts() == ["a", "c"]
    assert bench.sender.ledger.dropped == {"refused": 1}
    assert bench.buffer.bytes == 0
    bench.check_accounts()


def test_an_entry_that_failed_for_a_passing_reason_is_sent_alone_again(bench: _Bench) -> None:
    """Named with a passing code, the entry comes again, unchanged; nothing is dropped."""
    _script(bench, Refuse(1, code=14))
    bench.log("a", "b", "c")
    assert bench.sender.send_once() is SendResult.LATER
    bench.check_accounts()
    assert bench.run() == [SendResult.SENT, SendResult.IDLE]
    assert bench.texts() == ["a", "c", "b"]
    assert bench.transport.sent[1].lines == bench.transport.sent[0].lines[1:2]
    assert (bench.sender.ledger.dropped, bench.buffer.bytes) == ({}, 0)
    bench.check_accounts()


def test_what_is_settled_gives_its_bytes_back_at_once() -> None:
    """After one half of a request was stored the bytes of the other count alone."""
    wire = _Counted(503, 413, 200, 200)
    bench = _Bench(wire)
    bench.log("a", "b")
    size = bench.buffer.bytes
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.buffer.bytes == size
    assert bench.sender.send_once() is SendResult.SENT, "halved"
    assert bench.sender.send_once() is SendResult.SENT
    assert (bench.buffer.bytes, bench.sender.ledger.account.number()) == (size / 2, 1)
    assert bench.sender.send_once() is SendResult.SENT
    assert bench.buffer.bytes == 0


def test_a_part_that_is_sent_again_counts_alone(bench: _Bench) -> None:
    """Of a request of which one entry is to be sent again, its bytes are all that is held."""
    _script(bench, Refuse(1, code=14))
    bench.log("a", "b", "c")
    size = bench.buffer.bytes
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.buffer.bytes == size / 3


def test_the_wire_gets_as_long_as_the_pass() -> None:
    """A pass's timeout goes before the option."""
    wire = _Counted(503, 503)
    bench = _Bench(wire, answer_timeout=7.0)
    bench.log("a")
    bench.sender.send_once()
    bench.sender.send_once(0.5)
    assert wire.timeouts[0] == 7.0
    assert 0.0 < wire.timeouts[1] <= 0.5


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "renew"), (403, "logWriter"), (404, "project")]
)
def test_a_blocked_batch_waits_slowly_and_says_why(bench: _Bench, status: int, remedy: str) -> None:
    """Nothing is lost, the delay is long, one line says what to do, one that it was done."""
    _script(bench, Fail(status, times=3))
    bench.log("a")
    for _ in range(3):
        assert bench.sender.send_once() is SendResult.LATER
        assert bench.sender.delay == 30.0
    assert bench.run() == [SendResult.SENT, SendResult.IDLE]
    assert bench.texts() == ["a"]
    trouble, again = bench.lines
    assert remedy in trouble
    assert "log delivery works again" in again


def test_a_stale_connection_is_tried_again_at_once(bench: _Bench) -> None:
    """What a server closed while it was idle costs no delay, the first time."""
    _script(bench, Disconnect(times=2, is_stale=True))
    bench.log("a")
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.sender.delay == 0.0
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.sender.delay > 0


def test_an_answer_that_got_lost_doubles_the_bytes_but_not_the_identity(bench: _Bench) -> None:
    """Stored but unanswered, the batch comes twice with the same insertIds."""
    _script(bench, Disconnect(is_stored=True))
    bench.log("a")
    bench.run()
    bench.run()
    first, second = bench.transport.entries
    assert first == second
    assert bench.sender.ledger.delivered == 1


def test_batches_obey_the_limits(forklog_transport: FakeTransport) -> None:
    """No request has more entries or bytes than the options allow."""
    bench = _Bench(forklog_transport, max_batch_entries=10, max_batch_bytes=300_000)
    bench.log(*(["x"] * 25), *(["y" * 100_000] * 5))
    bench.run()
    sizes = [len(request.lines) for request in forklog_transport.sent]
    assert sum(sizes) == 30
    assert sizes[:2] == [10, 10]
    assert all(sum(map(len, request.lines)) <= 300_000 for request in forklog_transport.sent)


def test_a_hang_ends_with_the_given_timeout(bench: _Bench) -> None:
    """The pass waits for the answer as long as it may, and keeps the batch."""
    _script(bench, Hang())
    bench.log("a")
    assert bench.sender.send_once(0.05) is SendResult.LATER
    assert bench.sender.ledger.account.number() == 1
    assert bench.run() == [SendResult.SENT, SendResult.IDLE]


def test_a_bug_of_a_transport_is_a_passing_failure() -> None:
    """Whatever a foreign transport raises, the batch stays and the reason is its type alone."""
    bench = _Bench(_Raising(ZeroDivisionError("secret")))
    bench.log("a")
    for _ in range(3):
        assert bench.sender.send_once() is SendResult.LATER
    assert "ZeroDivisionError" in bench.lines[0]
    assert "secret" not in "".join(bench.lines)


def test_a_failure_to_open_is_retried() -> None:
    """A connection that cannot be opened is asked for again with the next pass."""
    transport = _Raising(WireError("no route"))
    bench = _Bench(transport)
    bench.log("a")
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.sender.send_once() is SendResult.LATER
    assert transport.opened == 2


def test_on_drop_gets_the_entries_and_may_fail(forklog_transport: FakeTransport) -> None:
    """The callback sees what was dropped and why; what it raises does no harm."""
    got: list[tuple[list[bytes], str]] = []

    def on_drop(entries: Sequence[bytes], reason: str) -> None:
        got.append((list(entries), reason))
        raise KeyError("payload")

    bench = _Bench(forklog_transport, on_drop=on_drop)
    forklog_transport.then(Refuse(0))
    bench.log("a", "b")
    bench.run()
    assert got == [(forklog_transport.sent[0].lines[:1], "refused")]
    assert any("on_drop raised KeyError" in line for line in bench.lines)
    assert "payload" not in "".join(bench.lines)


def test_only_one_pass_at_a_time() -> None:
    """A second pass while one is under way does nothing and says so."""
    transport = _Nested()
    bench = _Bench(transport)
    transport.sender = bench.sender
    bench.log("a")
    assert bench.sender.send_once() is SendResult.SENT
    assert transport.inner is SendResult.BUSY


def test_give_up_writes_everything_in_order(tmp_path: Path) -> None:
    """What is in flight and what waits is written, oldest first, and is pending no more."""
    bench = _Bench(FakeTransport(), last_resort=str(tmp_path / "lost"))
    _script(bench, Fail(503))
    bench.log("a")
    assert bench.sender.send_once() is SendResult.LATER
    bench.log("b")
    bench.sender.give_up("shutdown")
    entries = (tmp_path / "lost").read_bytes().splitlines()
    assert [entry.count(b'"a"') for entry in entries] == [1, 0]
    assert (bench.sender.is_pending(), bench.buffer.bytes) == (False, 0)
    assert (bench.sender.ledger.diverted, bench.sender.ledger.dropped) == ({"file": 2}, {})
    bench.check_accounts()


def test_an_answer_that_comes_after_giving_up_counts_nothing(bench: _Bench) -> None:
    """A batch is booked once: as given up, although the server stored it after all."""
    transport = _Nested()
    bench = _Bench(transport)
    transport.sender = bench.sender
    transport.gives_up = True
    bench.log("a")
    assert bench.sender.send_once() is SendResult.SENT
    assert bench.sender.ledger.delivered == 0
    assert bench.buffer.bytes == 0


def test_a_failure_that_comes_after_giving_up_is_no_sign_of_a_server() -> None:
    """Its outcome is not SENT, by which the worker would queue a notice for a server that hangs."""
    transport = _Nested()
    bench = _Bench(transport)
    transport.sender = bench.sender
    transport.gives_up = transport.fails = True
    bench.log("a")
    assert bench.sender.send_once() is SendResult.IDLE
    assert bench.sender.ledger.diverted == {"stderr": 1}
    bench.check_accounts()


def test_the_floor_is_the_oldest_unsettled_entry(bench: _Bench) -> None:
    """Entries in flight and entries that wait are unsettled; settled ones are not."""
    assert bench.sender.oldest_unsettled() == b"\xff"
    bench.log("a")
    key = bench.ids.key()
    assert bench.sender.oldest_unsettled() <= key
    _script(bench, Fail(503), Deliver())
    bench.run()
    assert bench.sender.oldest_unsettled() <= key, "in flight"
    bench.run()
    bench.log("b")
    assert bench.sender.oldest_unsettled() > key


class _Strict:
    """A server that refuses any request with a bad entry as a whole."""

    def __init__(self, bad: bytes, status: int = 400) -> None:
        self.bad = bad
        self.status = status
        self.stored: list[bytes] = []

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        if any(self.bad in entry for entry in entries):
            return judge(Answer(self.status), len(entries))
        self.stored += entries
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


class _Raising:
    """A transport that cannot open."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.opened = 0

    def open(self) -> Connection:
        self.opened += 1
        raise self.error


class _Nested:
    """A wire on which, during a request, something else happens to the sender."""

    sender: Sender
    inner: SendResult | None = None
    gives_up = False
    fails = False

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert entries
        assert timeout > 0
        self.inner = self.sender.send_once()
        if self.gives_up:
            self.sender.give_up("shutdown")
        if self.fails:
            raise WireError("the server did not answer in time")
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


def test_close_leaves_nothing_open(bench: _Bench) -> None:
    """A closed sender has no connection; it opens a new one if it has to send again."""
    bench.log("a")
    bench.run()
    bench.sender.close()
    assert bench.sender._wire.connection is None
    bench.log(str(os.getpid()))
    bench.run()
    assert bench.sender.ledger.delivered == 2


class _Counted:
    """A wire that counts what is open, and during a request does what the test says."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = [*statuses]
        self.timeouts: list[float] = []
        self.opened = self.closed = 0
        self.during: Callable[[], object] = lambda: None

    def open(self) -> Connection:
        self.opened += 1
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert entries
        assert timeout > 0
        self.timeouts.append(timeout)
        self.during()
        return judge(Answer(self.statuses.pop(0), b"{}"), len(entries))

    def close(self) -> None:
        self.closed += 1


def test_closing_under_a_request_closes_the_connection_after_it() -> None:
    """Whoever closes does not wait for the request; its end closes what it used."""
    wire = _Counted(200)
    bench = _Bench(wire)
    wire.during = bench.sender.close
    bench.log("a")
    assert bench.sender.send_once() is SendResult.SENT
    assert (wire.opened, wire.closed) == (1, 1)


def test_a_blocked_wire_is_opened_anew() -> None:
    """What a person fixes, such as a file of credentials, is read with the next attempt."""
    wire = _Counted(403, 503, 200)
    bench = _Bench(wire)
    bench.log("a")
    assert bench.sender.send_once() is SendResult.LATER
    assert (wire.opened, wire.closed) == (1, 1)
    assert bench.sender.send_once() is SendResult.LATER
    assert bench.sender.send_once() is SendResult.SENT
    assert (wire.opened, wire.closed) == (2, 1)


class _Firewall:
    """A wire that always answers in its own way to a request whose entries hold a word."""

    def __init__(self, way: int | WireError) -> None:
        self.way = way
        self.bad: bytes | None = b"poison"
        self.stored: list[bytes] = []
        self.requests = 0

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        self.requests += 1
        if self.bad is None or not any(self.bad in entry for entry in entries):
            self.stored += entries
            return Verdict(Kind.DELIVERED)
        if isinstance(self.way, WireError):
            raise self.way
        return judge(Answer(self.way, b"<html>blocked</html>"), len(entries))

    def close(self) -> None:
        return


_WAYS = [403, 404, 451, 500, 503, 200, WireError("no connection to the server (ConnectionReset)")]


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("is_alone", [False, True])
def test_one_bad_record_stops_no_other(
    tmp_path: Path, way: int | WireError, *, is_alone: bool
) -> None:
    """What is refused for its content is set aside and stays pending; all others arrive, soon.

    Class of fault: a record that is always refused for its content holds up the others; siblings:
    `test_culprits_that_fill_what_may_be_in_flight_stop_no_other`,
    `test_what_is_set_aside_holds_up_nothing_new_once_the_server_takes_it`,
    `test_a_delay_that_one_bad_record_brings_holds_no_other_up`,
    `test_a_record_that_is_refused_holds_a_working_wire_up_for_seconds`.
    """
    wire = _Firewall(way)
    bench = _Bench(wire, last_resort=str(tmp_path / "lost"))
    bench.log("poison")
    if is_alone:
        bench.sender.send_once()
    bench.log(*(f"t{n}" for n in range(201)))
    waited = 0.0
    for _ in range(60):
        if bench.sender.send_once() is SendResult.LATER:
            waited += bench.sender.delay
    sender = bench.sender
    assert sender.ledger.delivered == len(wire.stored) == 201
    assert (sender.has_in_flight(), bench.buffer.count_aside()) == (False, 1)
    bench.check_accounts()
    assert sender.oldest_unsettled() < bench.ids.key() < sender.oldest_to_send()
    assert wire.requests < 45
    assert waited < 30.0 * 10
    assert sum("set aside" in line for line in bench.lines) == 1
    assert any(str(way)[:13] in line for line in bench.lines if "set aside" in line)
    sender.give_up("shutdown")
    (entry,) = (tmp_path / "lost").read_bytes().splitlines()
    assert b"poison" in entry
    assert bench.buffer.bytes == 0
    bench.check_accounts()


def test_what_was_set_aside_is_tried_alone_and_delivered() -> None:
    """Each try is of one entry and holds up nothing; what the server takes again is delivered."""
    wire = _Firewall(403)
    bench = _Bench(wire, max_retry_delay=0.01)
    bench.log("poison 1", "a", "poison 2", "b", "c")
    wait_until(lambda: bench.sender.send_once() and bench.buffer.count_aside() == 2)
    assert len(wire.stored) == 3
    before = wire.requests
    wait_until(lambda: bench.sender.send_once() and wire.requests > before + 3)
    bench.log("d")
    wait_until(lambda: bench.sender.send_once() and len(wire.stored) == 4)
    wire.bad = None
    wait_until(lambda: bench.sender.send_once() and len(wire.stored) == 6)
    assert bench.sender.oldest_unsettled() > bench.ids.key()
    assert (bench.sender.ledger.delivered, bench.buffer.bytes) == (6, 0)
    bench.check_accounts()


def test_an_overflow_drops_what_is_set_aside_by_its_severity() -> None:
    """An entry that was set aside has its place among those of its severity, as the oldest."""
    dropped: list[bytes] = []
    buffer = Buffer(1000, lambda: None, on_overflow=dropped.append)
    wire = _Firewall(403)
    ids = InsertIds()
    sender = Sender(Options(), buffer, wire, StderrReporter(lambda _line: None), lambda: 1.0)

    def log(rank: int, severity: str, text: str) -> None:
        entry = f'","severity":"{severity}","textPayload":"{text}"}}'
        buffer.offer(rank, ids.opening() + entry.encode())

    log(2, "INFO", "poison")
    log(5, "ERROR", "poison")
    sender.send_once()
    log(2, "INFO", "good")
    for _ in range(40):
        sender.send_once()
    assert buffer.count_aside() == 2
    while not dropped:
        log(2, "INFO", "new")
    assert b"poison" in dropped[0]
    assert b"INFO" in dropped[0]
    while len(dropped) < 20:
        log(2, "INFO", "new")
    assert buffer.count_aside() == 1
    stats = sender.ledger.snapshot(buffer, pid=0, state="")
    assert ids.number() == stats.accepted == stats.pending + sum(stats.dropped.values()) + 1


def test_an_overflow_during_a_snapshot_is_in_its_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the number of accepted records would fall for a moment."""
    bench = _Bench(FakeTransport())
    bench.log("a", "b")
    buffer = bench.buffer

    def count(self: Buffer) -> int:
        monkeypatch.undo()
        self._drop_one()
        return len(self)

    monkeypatch.setattr(Buffer, "__len__", count)
    stats = bench.sender.ledger.snapshot(buffer, pid=0, state="")
    assert (stats.accepted, stats.pending, stats.dropped) == (2, 1, {"buffer_full": 1})


def test_a_server_that_refuses_everything_is_not_hammered() -> None:
    """Splitting sends no more requests than the same bytes again and again, and drops nothing."""
    wire = _Firewall(403)
    wire.bad = b"t"
    bench = _Bench(wire)
    bench.log(*(f"t{n}" for n in range(300)))
    for _ in range(40):
        assert bench.sender.send_once() is SendResult.LATER
        assert bench.sender.delay == 30.0
        bench.log("t")
    assert bench.buffer.count_aside() == 0
    assert bench.sender.ledger.dropped == {}


def test_a_batch_takes_at_most_a_quarter_of_the_buffer() -> None:
    """What is in flight, single entries aside that are tried in an outage, is a quarter of it.

    Class of fault: what cannot be dropped fills the buffer, so that an outage drops ERROR too;
    siblings: `test_down_for_longer_than_the_buffer_lasts`,
    `test_single_entries_that_are_tried_in_an_outage_are_bounded_too`,
    `test_what_is_put_aside_has_a_quarter_of_the_buffer`.
    """
    wire = _Counted(*[503] * 9)
    bench = _Bench(wire, max_buffer_bytes=2**20)
    bench.log(*["x" * 1000] * 900)
    for number in range(9):
        bench.sender.send_once()
        in_flight = sum(len(e) for b in bench.sender._in_flight.batches for e in b.entries)
        assert in_flight <= 2**18 + 1100 + 1100 * max(0, number - 2)


def test_single_entries_that_are_tried_in_an_outage_are_bounded_too() -> None:
    """However long a server refuses everything, most of the buffer is left to drop from."""
    bench = _Bench(_Counted(*[503] * 3000), max_buffer_bytes=2**20)
    bench.log(*["x" * 1000] * 900)
    for _ in range(3000):
        bench.sender.send_once()
    in_flight = sum(len(e) for b in bench.sender._in_flight.batches for e in b.entries)
    assert in_flight <= 2**18 + 2**17 + 1100
    bench.check_accounts()


@pytest.mark.parametrize("number", [400, 700])
@pytest.mark.parametrize("is_early", [False, True])
def test_culprits_that_fill_what_may_be_in_flight_stop_no_other(
    number: int, *, is_early: bool
) -> None:
    """Each of many records is refused: what is behind them passes, in minutes and few requests.

    Closes the class: a bound of the bytes in flight, beyond which nothing new was tried.
    """
    wire = _Firewall(403)
    bench = _Bench(wire, max_buffer_bytes=2**20)
    if is_early:
        bench.log("first")
        bench.sender.send_once()
    bench.log(*["poison" + "x" * 1000] * number, *["good" + "x" * 1000] * 200)
    waited, good = 0.0, 0
    while good < 100 and wire.requests < 600:
        if bench.sender.send_once() is SendResult.LATER:
            waited += bench.sender.delay
        good = sum(b'"good' in entry for entry in wire.stored)
    assert good == 100
    assert waited < 20 * 60
    bench.check_accounts()


def test_the_newest_entry_of_all_severities_is_taken() -> None:
    """Of entries that wait, one moves; of none, none."""
    buffer, taken = Buffer(10**6), []
    buffer.take_newest(taken)
    for rank, entry in ((5, b"1"), (2, b"2"), (8, b"3"), (2, b"4"), (5, b"5")):
        buffer.offer(rank, entry)
    for _ in range(4):
        buffer.take_newest(taken)
    assert taken == [b"5", b"4", b"3", b"2"]
    assert (buffer.oldest(), len(buffer)) == (b"1", 1)


def _with_many_aside(number: int) -> tuple[_Bench, _Firewall]:
    """Return a bench with as many entries aside, and a firewall that lets them pass now."""
    wire = _Firewall(403)
    bench = _Bench(wire, max_retry_delay=0.001)
    bench.log(*(f"poison {n}" for n in range(number)))
    entries: list[bytes] = []
    bench.buffer.take(entries, number, 10**7)
    bench.sender.aside.put(entries)
    wire.bad = None
    return bench, wire


@pytest.mark.parametrize("is_hurried", [False, True])
def test_what_is_set_aside_holds_up_nothing_new_once_the_server_takes_it(
    *, is_hurried: bool
) -> None:
    """After a repair new entries go within two requests, and all that was aside within ten.

    Closes the class: what is tried again goes before what is new, one request for each entry.
    """
    bench, wire = _with_many_aside(100)
    wait_until(lambda: bench.sender.aside.seconds() == 0)
    before = wire.requests
    bench.log("new")
    while not any(b'"new"' in entry for entry in wire.stored):
        bench.sender.send_once(is_hurried=is_hurried)
    assert wire.requests - before <= (1 if is_hurried else 2)
    while bench.sender.oldest_unsettled() < bench.ids.key():
        bench.sender.send_once()
        if wire.requests % 2:
            bench.log("new")
    assert wire.requests - before < 25
    assert bench.sender.ledger.delivered == bench.logged
    bench.check_accounts()


def test_what_is_aside_and_refused_for_good_is_dropped_one_by_one() -> None:
    """A change from 403 to 400 drops each entry by itself, and new ones go between them."""
    bench, wire = _with_many_aside(20)
    wire.bad, wire.way = b"poison", 400
    wait_until(lambda: bench.sender.aside.seconds() == 0)
    before = wire.requests
    while bench.buffer.count_aside():
        bench.log("new")
        bench.sender.send_once()
        bench.sender.send_once()
    assert wire.requests - before < 45
    assert bench.sender.ledger.dropped == {"refused": 20}
    bench.check_accounts()


def test_a_record_that_is_refused_holds_a_working_wire_up_for_seconds() -> None:
    """Where others were delivered just before, the pace of a blocked wire begins later."""
    bench = _Bench(_Firewall(403))
    bench.log("good")
    assert bench.sender.send_once() is SendResult.SENT
    bench.log("poison")
    bench.sender.send_once()
    bench.log("behind")
    waited = bench.sender.delay
    while len(bench.transport.stored) < 2:
        bench.sender.send_once()
        waited += bench.sender.delay
    assert waited <= 15.0


def test_a_server_that_begins_to_refuse_everything_is_soon_left_alone() -> None:
    """After a delivery six refusals are retried soon; the next ones at the blocked pace."""
    wire = _Firewall(403)
    bench = _Bench(wire)
    bench.log("good")
    bench.sender.send_once()
    wire.bad = b"t"
    bench.log(*(f"t{n}" for n in range(300)))
    delays = []
    for _ in range(20):
        assert bench.sender.send_once() is SendResult.LATER
        delays.append(bench.sender.delay)
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0] + [30.0] * 14


def test_a_refused_entry_is_no_sign_that_the_wire_works() -> None:
    """An answer of 400 in an outage makes no other entry one that is refused for its content."""
    wire = _Counted(503, 503, 503, 400, 503)
    bench = _Bench(wire)
    bench.log("good")
    bench.sender.send_once()
    bench.log("refused")
    for _ in range(4):
        bench.sender.send_once()
    assert bench.sender.ledger.dropped == {"refused": 1}
    assert bench.sender._in_flight.passes == 0


class _Patient(_Firewall):
    """A firewall that says when to come back."""

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        verdict = super().send(entries, timeout)
        return verdict if verdict.kind is Kind.DELIVERED else replace(verdict, delay=3600.0)


def test_a_delay_that_one_bad_record_brings_holds_no_other_up() -> None:
    """Once others pass, the server's delay is for that record alone, and no wait of the worker."""
    bench = _Bench(_Patient(503))
    bench.log("good")
    bench.sender.send_once()
    bench.log("poison")
    delays = []
    for number in range(40):
        if bench.sender.send_once() is SendResult.LATER:
            delays.append(bench.sender.delay)
        bench.log(f"t{number}")
    assert bench.buffer.count_aside() == 1
    assert sum(delay == 3600.0 for delay in delays) == PATIENCE
    assert max(delays[PATIENCE:]) <= 30.0


def test_a_blocked_wire_is_asked_about_another_record_first() -> None:
    """A bad record among the very first costs one wait at the pace of a blocked wire, not three."""
    bench = _Bench(_Firewall(403))
    bench.log("poison", *(f"t{n}" for n in range(99)))
    bench.sender.send_once()
    bench.log(*(f"t{n}" for n in range(100)))
    waited = bench.sender.delay
    while not bench.transport.stored:
        assert bench.sender.send_once() is SendResult.SENT or bench.sender.delay
        waited += 0 if bench.transport.stored else bench.sender.delay
    assert waited <= 30.0
