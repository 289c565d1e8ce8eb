"""In flight: which batch is sent next, how a refusal splits it, and what is set aside."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.delivery.ledger import Ledger
from forklog.delivery.sending.in_flight import PATIENCE, InFlight

if TYPE_CHECKING:
    from collections.abc import Callable


class _Server:
    """Refuses requests by their entries; plays the sender with what waits behind."""

    def __init__(self, refuses: Callable[[list[int]], bool], *waiting: list[int]) -> None:
        self.in_flight = InFlight(10_000, 10**9, Ledger())
        self.refuses = refuses
        self.waiting = [[b"%06d" % n for n in batch] for batch in waiting]
        self.sent: list[list[int]] = []
        self.stored: list[int] = []
        self.aside: list[int] = []
        self.refused = 0

    def step(self) -> bool:
        in_flight = self.in_flight
        if batch := in_flight.to_fill():
            behind = self.waiting[0] if self.waiting else []
            number = in_flight.max_probe_entries() if batch.is_probe else len(behind)
            batch.entries.extend(behind[:number])
            self.waiting[:1] = [behind[number:]] if behind[number:] else []
        in_flight.drop_empty()
        if not in_flight.batches:
            return False
        batch = in_flight.first()
        entries = [int(entry) for entry in batch.entries]
        self.sent.append(entries)
        if self.refuses(entries):
            self.refused += 1
            if in_flight.refused():
                self.aside += [int(entry) for entry in in_flight.batches[0].entries]
                in_flight.remove()
        else:
            self.stored += entries
            in_flight.passed()
        return True

    def run(self, most: int = 10_000) -> _Server:
        while self.step():
            assert len(self.sent) <= most, "not settled"
        return self


@pytest.mark.parametrize("size", [2, 3, 202, 10_000])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_culprit_is_found_in_a_bounded_number_of_requests(size: int, place: float) -> None:
    """Of a batch with one entry that is always refused all others are delivered, soon.

    Class of fault: a record that is always refused for its content holds up the others; siblings:
    `test_what_waits_behind_a_lone_culprit_goes_past_it`,
    `test_culprits_before_all_others_let_them_pass`,
    `test_many_culprits_in_one_batch_and_another_behind_let_others_pass`,
    `test_a_probe_that_is_left_alone_lets_others_pass`,
    `test_a_steady_share_of_culprits_stops_no_other_for_long`.
    """
    culprit = int(place * (size - 1))
    server = _Server(lambda entries: culprit in entries, list(range(size))).run()
    assert server.aside == [culprit]
    assert sorted(server.stored) == [n for n in range(size) if n != culprit]
    assert server.refused <= 2 * PATIENCE + 2 * ceil(log2(size))
    assert len(server.sent) <= 2 * PATIENCE + 5 * ceil(log2(size))


def test_what_waits_behind_a_lone_culprit_goes_past_it() -> None:
    """A culprit that was taken alone holds up what comes after it for three attempts."""
    server = _Server(lambda entries: 0 in entries, [0], [1, 2], [3]).run()
    assert server.sent[:4] == [[0]] * PATIENCE + [[1]]
    assert server.aside == [0]
    assert sorted(server.stored) == [1, 2, 3]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sets(st.integers(0, 199), max_size=12),
)
def test_every_culprit_is_set_aside_and_nothing_else(sizes: list[int], bad: set[int]) -> None:
    """However culprits are spread over batches, all else is delivered once, each of them parted."""
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    batches = [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    everything = set(range(ends[-1]))
    culprits = bad & everything
    server = _Server(lambda entries: bool(culprits & set(entries)), *batches)
    while len(server.stored) < len(everything - culprits) and server.step():
        assert len(server.sent) < 60 + 60 * len(culprits)
    assert sorted(server.stored) == sorted(everything - culprits)
    assert set(server.aside) <= culprits
    # What comes later shows that the last of them were no outage.
    server.waiting += [[b"%06d" % (1000 + n)] for n in range(8 * len(culprits) + 1)]
    server.run()
    assert set(server.aside) == culprits
    assert len(server.aside) == len(culprits)


def test_a_probe_that_is_left_alone_lets_others_pass() -> None:
    """A culprit in a probe, once all else is settled or set aside, does not stop what follows."""
    batches = [list(range(18)), list(range(18, 28)), [28]]
    culprits = {13, 23, 28}
    server = _Server(lambda entries: bool(culprits & set(entries)), *batches)
    server.waiting += [[b"%06d" % (1000 + n)] for n in range(25)]
    server.run(200)
    assert set(server.aside) == culprits
    assert len(server.stored) == 26 + 25


@pytest.mark.parametrize("number", [2, 3, 30, 100])
def test_culprits_before_all_others_let_them_pass(number: int) -> None:
    """Several culprits that are logged first, each in a batch of its own, stop no other entry."""
    server = _Server(lambda entries: min(entries) < number, *[[n] for n in range(number + 200)])
    server.run(60 * number + 1000)
    assert sorted(server.aside) == list(range(number))
    assert len(server.stored) == 200


@pytest.mark.parametrize("number", [70, 300])
def test_many_culprits_in_one_batch_and_another_behind_let_others_pass(number: int) -> None:
    """A culprit in the probe stops nothing, however many others are refused before it.

    Closes the class: a bound of the number in flight, beyond which nothing new was tried.
    """
    culprits = range(number + 1)
    behind = list(range(1000, 1200))
    server = _Server(lambda e: min(e) <= number, list(range(number)), [number], behind)
    while len(server.stored) < 200 and server.step():
        assert len(server.sent) < PATIENCE + 10 + len(behind)
    assert not set(server.stored) & set(culprits)
    server.waiting += [[b"%06d" % n] for n in range(2000, 2000 + 8 * number)]
    server.run()
    assert sorted(server.aside) == list(culprits)


def test_a_steady_share_of_culprits_stops_no_other_for_long() -> None:
    """With one culprit in ten, a request in five is taken, and those hold one entry or more."""
    server = _Server(lambda e: any(n % 10 == 0 for n in e), list(range(1, 100)))
    server.waiting.append([b"%06d" % n for n in range(100, 3000)])
    for _ in range(100):
        server.step()
    assert len(server.sent) - server.refused > 20
    assert len(server.stored) > 60


def test_where_everything_is_refused_nothing_is_set_aside() -> None:
    """An outage sends the parts of a batch in turn; of what waits, one entry in three requests."""
    server = _Server(lambda _entries: True, list(range(64)), list(range(64, 1000)))
    for _ in range(900):
        server.step()
    assert server.aside == server.stored == []
    in_flight = sum(len(batch.entries) for batch in server.in_flight.batches)
    assert in_flight <= 64 + 900 / PATIENCE
    assert server.sent[:PATIENCE] == [list(range(64))] * PATIENCE


def test_after_an_outage_the_parts_are_joined_again() -> None:
    """Hundreds of parts cost a handful of requests once the server is back; none is set aside."""
    is_down = True
    server = _Server(lambda _entries: is_down, list(range(512)), list(range(512, 1024)))
    for _ in range(400):
        server.step()
    is_down, before = False, len(server.sent)
    server.run()
    assert sorted(server.stored) == list(range(1024))
    assert server.aside == []
    assert len(server.sent) - before < 15


@pytest.mark.parametrize("refusals", [10, 40])
def test_the_first_request_after_an_outage_is_followed_by_all_else(refusals: int) -> None:
    """However long it was: a part or a probe, then all that was refused, with what waits."""
    server = _Server(lambda _entries: len(server.sent) <= refusals, list(range(5_000)))
    server.waiting.append([b"%06d" % n for n in range(5_000, 5_000 + refusals)])
    server.run(refusals + 2)
    assert sorted(server.stored) == list(range(5_000 + refusals))
    assert server.aside == []


@pytest.mark.parametrize("culprits", [{0}, {2_500}, {7, 3_000, 4_999}])
def test_a_culprit_in_what_an_outage_has_refused_is_found(culprits: set[int]) -> None:
    """Joining its parts costs what was learned of them, once: all others are delivered, soon."""
    server = _Server(
        lambda entries: len(server.sent) <= 40 or bool(culprits & set(entries)),
        list(range(5_000)),
        list(range(5_000, 5_100)),
    )
    server.run(40 + 2 * PATIENCE + 5 * len(culprits) * ceil(log2(5_000)))
    assert set(server.aside) == culprits
    assert len(server.stored) == 5_100 - len(culprits)


def test_what_an_outage_has_refused_is_joined_once() -> None:
    """Its parts may hold culprits: seven more refusals and a pass undo no splitting."""
    passing = {11, 41}
    server = _Server(lambda _entries: len(server.sent) not in passing, list(range(5_000)))
    for _ in range(42):
        server.step()
    assert len(server.sent[11]) > 4_000
    assert len(server.sent[41]) < 1_300


def test_lone_entries_refused_in_an_outage_are_no_culprits() -> None:
    """What was refused alone while nothing passed is tried again before it is set aside."""
    is_down = True
    server = _Server(lambda _entries: is_down, [1, 2, 3], [4, 5])
    for _ in range(60):
        server.step()
    is_down = False
    server.run()
    assert (sorted(server.stored), server.aside) == ([1, 2, 3, 4, 5], [])


def test_a_quota_splits_nothing() -> None:
    """A refusal that is not about the content leaves the batch as it is."""
    in_flight = InFlight(100, 10**6, Ledger())
    in_flight.begin().entries.extend([b"a", b"b"])
    for _ in range(50):
        in_flight.put_off()
    assert in_flight.first().entries == [b"a", b"b"]
    assert not in_flight.wants_other()
    assert in_flight.refusals == 50


def test_what_the_server_names_again_and_again_is_set_aside_at_once() -> None:
    """Entries named with a passing code, time after time while others pass, need no search."""
    in_flight = InFlight(100, 10**6, Ledger())
    in_flight.begin().entries.extend([b"a", b"b", b"c"])
    assert not in_flight.passed_in_part([b"a", b"c"])
    assert not in_flight.refused(is_named=True)
    assert in_flight.refused(is_named=True)
    assert in_flight.batches[0].entries == [b"a", b"c"]


def test_joined_parts_fit_into_a_request() -> None:
    """Parts of different batches are joined within the bounds of a request only."""
    is_down = True
    server = _Server(lambda _entries: is_down, list(range(10)), list(range(10, 20)))
    server.in_flight = InFlight(10, 60, Ledger())
    for _ in range(30):
        server.step()
    is_down = False
    server.run()
    assert sorted(server.stored) == list(range(20))
    assert max(map(len, server.sent)) <= 10
