"""A simulated process after a failure, held against the sender request by request."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fleet.live import Shares
from benchmarks.fleet.outcome import Outcome
from benchmarks.fleet.process import Process
from benchmarks.fleet.quota import Answer
from benchmarks.fleet.rules import DOWN, QUOTA, Gap
from benchmarks.rows.fleet import compared
from forklog.delivery.buffer import Buffer
from forklog.delivery.sending.sender import Sender
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import Connection, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENTRY_BYTES, _MAX_ENTRIES = 32, 20
_VERDICTS = {
    Answer.TAKEN: Verdict(Kind.DELIVERED),
    Answer.OVER_REQUESTS: QUOTA,
    Answer.DOWN: DOWN,
}


class _Small(Gap):
    max_entries = _MAX_ENTRIES


@dataclass
class _Real:
    """The sender, its buffer and a wire that gives the answer that is set."""

    answer: Answer = Answer.TAKEN
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = Options(project="p", max_batch_entries=_MAX_ENTRIES)
        self.buffer = Buffer(options.max_buffer_bytes)
        reporter = StderrReporter(lambda _line: None)
        self.sender = Sender(options, self.buffer, self, reporter, _one)

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        del timeout
        self.sent = list(entries)
        return _VERDICTS[self.answer]

    def close(self) -> None:
        """Have nothing to close."""


class _Pair:
    """Both, with the same records and answers."""

    def __init__(self) -> None:
        self.real, self.random = _Real(), Random(1)  # noqa: S311 - a seeded run
        self.model = Process(10.0, 0.0, _Small(_one), Outcome(), _ENTRY_BYTES)

    def log(self, number: int) -> None:
        for _ in range(number):
            self.real.buffer.offer(2, _entry(self.model.log_next(self.random)))

    def send(self, answer: Answer) -> bool:
        """Have both send; tell whether the sender has set something aside."""
        if not (self.model.number or self.model.batch or self.model.parts):
            return False
        self.real.answer = answer
        size = self.model.fill() * _ENTRY_BYTES
        self.real.sender.send_once()
        assert self.real.sent == [_entry(span.first) for span in self.model.batch]
        assert len(self.real.sent) <= _MAX_ENTRIES
        if answer is Answer.TAKEN:
            self.model.settled()
            self.model.rules.taken()
            return False
        if self.real.buffer.count_aside():
            return True
        attempts = self.model.refused(is_of_content=answer is Answer.DOWN)
        delay = self.model.rules.refused(attempts, size, answer)
        assert self.real.sender.delay == delay
        return False


def _one() -> float:
    return 1.0


def _entry(at: float) -> bytes:
    return b'{"insertId":"%015d"}' % round(at * 1e6)


_RUNS = st.lists(st.tuples(st.sampled_from(list(_VERDICTS)), st.integers(1, 30)), max_size=8)


@settings(max_examples=200)
@given(_RUNS, st.integers(0, 3), st.integers(1, 50))
def test_a_simulated_process_sends_what_the_sender_sends(
    runs: list[tuple[Answer, int]], rate: int, first: int
) -> None:
    """After any runs of answers: the same records in each request, and the same delays."""
    pair = _Pair()
    pair.log(first)
    for answer, number in runs:
        for _ in range(number):
            pair.log(rate)
            if pair.send(answer):
                return


@pytest.mark.parametrize("refusals", [3, 7, 40])
def test_a_simulated_backlog_takes_as_many_requests(refusals: int) -> None:
    """After an outage and a 429 all is delivered, by the sender and by the model."""
    pair = _Pair()
    pair.log(5)
    for _ in range(refusals):
        pair.log(1)
        assert not pair.send(Answer.DOWN)
    pair.send(Answer.OVER_REQUESTS)
    while pair.model.number or pair.model.parts:
        pair.send(Answer.TAKEN)
    assert pair.real.sender.ledger.delivered == 5 + refusals
    assert not pair.real.sender.is_pending()


def test_real_and_simulated_runs_are_compared_by_their_means() -> None:
    """One line, however many the runs are; a share beyond a quarter of the simulated one fails."""
    few, many = Shares(10, 0.4, 0.2, 5, 1.0, 10.0), Shares(10, 0.6, 0.3, 5, 2.0, 30.0)
    line = compared("a fleet", [few, many] * 3, [few])
    assert line.measured == (
        "delivered 50.0% (simulated 40.0%), refused 25.0% (20.0%), p50 1.50 s (1.00),"
        " p99 20.0 s (10.0)"
    )
    assert line.is_met
    assert not compared("a fleet", [many], [few]).is_met
