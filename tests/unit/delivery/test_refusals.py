"""Refusals that meet: of a batch and its parts, of wire and content, of old and new entries."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from forklog.delivery.buffer import Buffer
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.sender import Sender
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Connection, Kind, Verdict, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RETRY = Verdict(Kind.RETRY, "503")


class _Wire:
    """Answers by what the test says, of the entries and the number of the request."""

    def __init__(self, answer: Callable[[Sequence[bytes], int], Verdict]) -> None:
        self.answer = answer
        self.requests = self.opened = 0
        self.delivered: list[bytes] = []

    def open(self) -> Connection:
        self.opened += 1
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        assert timeout > 0
        self.requests += 1
        verdict = self.answer(entries, self.requests)
        if verdict.kind is Kind.DELIVERED:
            self.delivered += [e for i, e in enumerate(entries) if i not in verdict.refused]
        return verdict

    def close(self) -> None:
        return


class _Bench:
    def __init__(self, wire: _Wire, **options: Any) -> None:
        self.buffer = Buffer(10**7)
        report = StderrReporter(lambda _line: None)
        self.sender = Sender(Options(**options), self.buffer, wire, report, lambda: 1.0)
        self._ids = InsertIds()

    def log(self, *texts: str) -> None:
        for text in texts:
            self.buffer.offer(2, self._ids.opening() + b'","textPayload":"%b"}' % text.encode())


def _has_culprit(entries: Sequence[bytes]) -> bool:
    return any(b"culprit" in entry for entry in entries)


@pytest.mark.parametrize("failures", range(9))
@pytest.mark.parametrize("place", range(8))
def test_halves_are_not_joined_before_they_are_sent(failures: int, place: int) -> None:
    """A server that refuses a request for one entry finds it, also right after an outage.

    Closes the class: two rules that undo each other, request by request, without a delay.
    """

    def answer(entries: Sequence[bytes], number: int) -> Verdict:
        if number <= failures:
            return _RETRY
        if _has_culprit(entries):
            is_alone = len(entries) == 1
            return Verdict(Kind.DELIVERED, refused={0: "bad"}) if is_alone else Verdict(Kind.HALVE)
        return Verdict(Kind.DELIVERED)

    bench = _Bench(wire := _Wire(answer))
    bench.log(*("culprit" if n == place else f"t{n}" for n in range(8)))
    while bench.sender.send_once() is not SendResult.IDLE:
        assert wire.requests < failures + 40, "not settled"
    assert len(wire.delivered) == 7


@pytest.mark.parametrize("is_new", [True, False])
def test_culprits_stop_no_other_wherever_they_stand(*, is_new: bool) -> None:
    """Good records pass that stand before, or behind, a row of records that are all refused.

    Closes the class: an order of trying that meets culprits alone.
    """
    wire = _Wire(lambda entries, _: _RETRY if _has_culprit(entries) else Verdict(Kind.DELIVERED))
    bench = _Bench(wire, max_batch_entries=10)
    bench.log(*["culprit"] * 10, *(["good"] * 50 if is_new else ["culprit"] * 200))
    for _ in range(400):
        bench.log("culprit" if is_new else "good")
        bench.sender.send_once()
    assert len(wire.delivered) >= (50 if is_new else 30)


def test_a_connection_without_a_token_is_opened_anew_whatever_it_sends() -> None:
    """A token that cannot be had is no fault of a batch that was refused before others passed.

    Closes the class: suspicion of the content, for a failure of which it is no cause.
    """
    wire = _Wire(lambda *_: Verdict(Kind.DELIVERED))

    def answer(_entries: Sequence[bytes], number: int) -> Verdict:
        if number <= 8:
            return _RETRY
        if number > 9 and wire.opened == 1:
            raise WireError("no token", is_blocked=True)
        return Verdict(Kind.DELIVERED)

    wire.answer = answer
    bench = _Bench(wire)
    bench.log(*(f"t{n}" for n in range(8)))
    for _ in itertools.takewhile(lambda _: len(wire.delivered) < 8, range(60)):
        bench.sender.send_once()
    assert len(wire.delivered) == 8
    assert wire.opened == 2
