"""What is reported of batches and drops: trouble that lasts, its end, and what on_drop gets."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from forklog.delivery.buffer import Buffer
from forklog.delivery.ledger import Ledger
from forklog.delivery.losses import Losses, Overflow, PassReport
from forklog.delivery.sinks.on_drop import OnDrop
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Kind, Quota, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_LATER = Verdict(Kind.RETRY, "503")
_PARTLY = Verdict(Kind.DELIVERED, "503", again=frozenset({1}))
_BLOCKED = Verdict(Kind.BLOCKED, "403: grant a role")
_STORED = Verdict(Kind.DELIVERED)


def _refused_by(name: str) -> Verdict:
    return Verdict(Kind.RETRY, f"{name} are used up", quota=Quota(name))


def _made(on_drop: Callable[[list[bytes], str], object] | None = None) -> tuple[Losses, list[str]]:
    lines: list[str] = []
    report = StderrReporter(lambda line: lines.append(line[:-1]))
    return Losses(report, OnDrop(on_drop, report)), lines


_OF_ENCODE = "correct the __str__ of what is logged or the recursion that logs it, or add memory"
_OF_REFUSED = "look at them in on_drop, correct what logs them"


def _reported(lines: list[str]) -> list[str]:
    return [line.partition(": ")[2] for line in lines]


def test_hiccups_are_not_reported() -> None:
    """Two failed attempts and the success after them are not worth a line."""
    losses, lines = _made()
    for attempts in (1, 2):
        losses.of_attempt(attempts, _LATER)
        losses.of_attempt(attempts, _PARTLY)
    losses.of_attempt(3, _STORED)
    assert lines == []


def test_trouble_that_lasts_is_reported_and_so_is_its_end() -> None:
    """The third failure of a batch is reported with its reason, and its end is reported once."""
    losses, lines = _made()
    losses.of_attempt(3, _LATER)
    losses.of_attempt(4, _LATER)
    losses.of_attempt(5, _STORED)
    losses.of_attempt(1, _STORED)
    assert _reported(lines) == [
        "cannot deliver logs yet, retrying: 503",
        "log delivery works again",
    ]


def test_a_quota_is_named_once_and_its_refusals_are_no_made() -> None:
    """Each quota has its line at its first refusal; ten in a row of one batch are trouble."""
    losses, lines = _made()
    for name in ("requests", "requests", "bytes", "requests"):
        losses.of_pass(9, _refused_by(name), PassReport(), 0)
        losses.of_pass(9, _STORED, PassReport(), 0)
    expected = [f"a quota delays the logs: {name} are used up" for name in ("requests", "bytes")]
    assert _reported(lines) == expected
    losses.of_pass(10, _refused_by("requests"), PassReport(), 0)
    losses.of_pass(11, _STORED, PassReport(), 0)
    expected += [
        "cannot deliver logs yet, retrying: requests are used up",
        "log delivery works again",
    ]
    assert _reported(lines) == expected


def test_a_quota_is_named_whatever_else_is_made() -> None:
    """An entry that is tried alone may be the first that a quota refuses; few names are kept."""
    losses, lines = _made()
    for number in range(100):
        losses.of_pass(1, _refused_by(f"q{number}"), PassReport(is_of_wire=False), 0)
    assert len(lines) == 8


def test_a_part_that_is_never_stored_is_trouble() -> None:
    """A server that stores all but some entries, time after time, counts as one that fails."""
    losses, lines = _made()
    losses.of_attempt(3, _PARTLY)
    assert _reported(lines) == ["cannot deliver logs yet, retrying: 503"]
    losses.of_attempt(4, Verdict(Kind.HALVE, "413"))
    assert len(lines) == 1, "nothing is stored yet"


def test_what_a_person_must_fix_is_reported_at_once() -> None:
    """The first answer of that kind says what to do."""
    losses, lines = _made()
    losses.of_attempt(1, _BLOCKED)
    losses.of_attempt(2, _STORED)
    assert _reported(lines) == [
        "cannot deliver logs: 403: grant a role",
        "log delivery works again",
    ]


def test_the_application_gets_what_was_dropped() -> None:
    """on_drop gets entries and reason; drops without entries are reported alone."""
    got: list[tuple[list[bytes], str]] = []
    losses, lines = _made(lambda entries, reason: got.append((entries, reason)))
    losses.of_drop("encode", 1)
    losses.of_drop("refused", 2, (b"a", b"b"), "400 INVALID_ARGUMENT")
    assert got == [([b"a", b"b"], "refused")]
    assert _reported(lines) == [
        f"dropped 1 log entries (encode); {_OF_ENCODE}",
        f"dropped 2 log entries (refused: 400 INVALID_ARGUMENT); {_OF_REFUSED}",
    ]


def test_a_callback_that_raises_is_named() -> None:
    """The error's type is reported, not its text, which may hold what was logged."""

    def fail(_entries: list[bytes], _reason: str) -> None:
        raise ValueError("secret")

    losses, lines = _made(fail)
    losses.of_drop("refused", 1, (b"a",))
    (line,) = _reported(lines)[1:]
    assert line.startswith("on_drop raised ValueError and did not take 1 entries (refused); ")
    assert line.endswith("fail")


def test_an_on_drop_that_logs_more_than_can_be_remembered_is_not_fed_by_it() -> None:
    """All that it logs is dropped, tens of thousands of entries; what others log later it gets."""
    numbers, logged = itertools.count(), deque[bytes]()

    def offer(_rank: int, entry: bytes) -> None:
        logged.append(entry)

    def new() -> bytes:
        return b'{"insertId":"%019x%010x","timestamp":""}' % (1, next(numbers))

    takers: list[Callable[[int, bytes], object]] = [offer]
    calls: list[int] = []

    def callback(entries: list[bytes], _reason: str) -> None:
        calls.append(len(entries))
        for _ in range(200 * len(entries)):
            takers[0](1, new())

    sink = OnDrop(callback, StderrReporter(lambda _line: None))

    def watch(wrap: Callable[[Callable[[int, bytes], object]], Any] | None) -> None:
        takers[0] = wrap(offer) if wrap else offer

    sink.watch_with(watch)
    sink.write([new() for _ in range(150)], "buffer_full")
    while logged:
        sink.write([logged.popleft() for _ in range(min(500, len(logged)))], "buffer_full")
        assert len(calls) == 1, calls
    sink.write([new()], "buffer_full")
    assert calls == [150, 1]


def test_no_more_is_rescued_than_overflows_have_dropped() -> None:
    """So no number and no line is ever below zero."""
    ledger, buffer = Ledger(), Buffer(1)
    buffer.offer(0, b"x" * 2)
    ledger.book_rescued(buffer, 5)
    assert ledger.book_overflow(buffer) == (0, 0)
    assert dict(ledger.dropped) == {}


class _Switching(bytes):
    """An entry at whose measuring another thread runs."""

    run: Callable[[], object] = staticmethod(lambda: None)

    def __len__(self) -> int:
        kind = type(self)
        run, kind.run = kind.run, staticmethod(lambda: None)
        run()
        return super().__len__()


@pytest.mark.parametrize("is_rescued", [False, True])
def test_room_for_dropped_entries_comes_back_whole(*, is_rescued: bool) -> None:
    """Two threads that take kept entries at once each give their room back."""
    got: list[bytes] = []
    losses, _ = _made(lambda entries, _reason: got.extend(entries))
    overflow = Overflow(20, Buffer(2**20), Ledger(), losses)
    first = _Switching(b"first 10 b")

    def switch() -> None:
        overflow.keep(b"other 10 b")
        overflow.report()

    overflow.keep(first)
    _Switching.run = staticmethod(switch)
    if is_rescued:
        overflow.settle_held(0, [first])
    else:
        overflow.report()
    got.clear()
    for _ in range(3):
        overflow.keep(b"again 10 b")
    overflow.report()
    assert got == [b"again 10 b"] * 2
