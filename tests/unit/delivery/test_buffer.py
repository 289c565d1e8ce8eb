"""The buffer: order, bounds, what is dropped first, wake-ups."""

from __future__ import annotations

import dis
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.delivery.buffer import Buffer
from forklog.delivery.free_threaded.buffer import UnlockedBuffer
from forklog.delivery.sending.lanes import move
from forklog.insert_id import InsertIds
from forklog.severity import NEVER, RANKS
from forklog.spool.store import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

DEBUG, INFO, ERROR = 1, 2, 5


def _entry(ids: InsertIds, size: int = 0) -> bytes:
    return b'%b%010x"}' % (ids.head, ids.number()) + b"x" * size


def _take(buffer: Buffer, most: int, max_bytes: int = 10**9) -> list[bytes]:
    taken: list[bytes] = []
    buffer.take(taken, most, max_bytes)
    return taken


def _drain(buffer: Buffer) -> list[bytes]:
    drained: list[bytes] = []
    buffer.drain(drained)
    return drained


_KIND: list[type[Buffer]] = [Buffer]


@pytest.fixture(scope="module", params=[Buffer, UnlockedBuffer], autouse=True)
def _kind(request: pytest.FixtureRequest) -> None:
    """Have each test with the buffer of either build."""
    _KIND[:] = [request.param]


def _buffer(max_bytes: int = 10_000, **options: Any) -> Buffer:
    return _KIND[0](max_bytes, **options)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 50))), st.integers(1, 9))
def test_take_gives_the_order_of_the_offers(offers: list[tuple[int, int]], most: int) -> None:
    """Whatever the severities, entries come out in the order in which they went in."""
    buffer, ids = _buffer(10**9), InsertIds()
    entries = [_entry(ids, size) for _, size in offers]
    for (rank, _), entry in zip(offers, entries, strict=True):
        buffer.offer(rank, entry)
    taken: list[bytes] = []
    while run := _take(buffer, most):
        assert len(run) <= most
        taken += run
        buffer.settle(sum(map(len, run)))
    assert taken == entries
    assert buffer.bytes == 0


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(100, 500))
def test_take_obeys_the_bytes(sizes: list[int], limit: int) -> None:
    """A batch is at most the given bytes, or one entry; nothing is lost between two takes."""
    buffer, ids = _buffer(10**9), InsertIds()
    entries = [_entry(ids, size) for size in sizes]
    for index, entry in enumerate(entries):
        buffer.offer(index % 3, entry)
    taken = []
    while run := _take(buffer, 1000, limit):
        assert len(run) == 1 or sum(map(len, run)) <= limit
        taken += run
    assert taken == entries


@given(st.permutations(range(12)), st.integers(1, 5), st.integers(1, 3))
def test_numbers_out_of_order_are_neither_lost_nor_doubled(
    order: list[int], most: int, lanes: int
) -> None:
    """Threads may offer in another order than that of their numbers; each entry comes out once."""
    buffer, ids = _buffer(10**9), InsertIds()
    entries = [_entry(ids) for _ in order]
    for index in order:
        buffer.offer(index % lanes, entries[index])
    taken: list[bytes] = []
    while run := _take(buffer, most):
        taken += run
    assert sorted(taken) == entries


def test_a_lane_that_an_overflow_empties_loses_nothing() -> None:
    """Where a lane is shorter than it was a moment ago, what was left of it comes out."""

    class Shrinking(deque[bytes]):
        """Says that it has one entry more than it has."""

        def __len__(self) -> int:
            return super().__len__() + 1

    into = [b"0"]
    move(Shrinking([b"1", b"2"]), into, 3)
    assert into == [b"0", b"1", b"2"]


def test_the_least_severe_is_dropped_first_and_the_oldest_of_it() -> None:
    """An ERROR outlives a flood of DEBUG; of the flood the newest entries stay."""
    dropped: list[bytes] = []
    ids = InsertIds()
    buffer = _buffer(1000, on_overflow=dropped.append)
    error = _entry(ids)
    buffer.offer(ERROR, error)
    flood = [_entry(ids) for _ in range(200)]
    for entry in flood:
        buffer.offer(DEBUG, entry)
    kept = _drain(buffer)
    assert kept[0] == error
    assert kept[1:] == flood[-len(kept[1:]) :]
    assert dropped == flood[: len(dropped)]
    assert len(kept) + len(dropped) == 201
    assert buffer.count_overflowed() == len(dropped)


def test_a_severe_flood_drops_what_is_milder_before_itself() -> None:
    """Among three severities the mildest is emptied completely before the next one is touched."""
    buffer, ids = _buffer(1000), InsertIds()
    size = len(_entry(ids))
    for rank in (DEBUG, INFO, ERROR):
        for _ in range(1000 // size // 2):
            buffer.offer(rank, _entry(ids))
    ranks = [rank for rank, _ in buffer.snapshot()]
    assert DEBUG not in ranks
    assert ranks.count(ERROR) == 1000 // size // 2


def test_bytes_are_bounded_while_a_batch_is_under_way() -> None:
    """Taken entries count until they are released, so the bound holds during a request."""
    buffer, ids = _buffer(1000), InsertIds()
    size = len(_entry(ids))
    for _ in range(1000 // size):
        buffer.offer(INFO, _entry(ids))
    taken = _take(buffer, 1000)
    buffer.offer(INFO, _entry(ids))
    assert len(buffer) == 0, "there was no room for it"
    buffer.settle(sum(map(len, taken)))
    buffer.offer(INFO, _entry(ids))
    assert len(buffer) == 1


def test_what_is_drained_counts_until_it_is_settled() -> None:
    """Entries that are given up give their bytes back once they are booked."""
    buffer, ids = _buffer(1000), InsertIds()
    entries = [_entry(ids) for _ in range(3)]
    for entry in entries:
        buffer.offer(INFO, entry)
    size = buffer.bytes
    assert _drain(buffer) == entries
    assert (len(buffer), buffer.bytes) == (0, size)
    buffer.settle(size)
    assert buffer.bytes == 0


def test_the_last_release_sets_a_wrong_sum_right() -> None:
    """Should the sum of bytes ever drift, it is zero again once no entry is left."""
    buffer, ids = _buffer(1000), InsertIds()
    buffer.bytes = 7
    for _ in range(2):
        buffer.offer(INFO, _entry(ids))
    (first,) = _take(buffer, 1)
    size = len(first)
    buffer.settle(size, is_last=True)
    assert buffer.bytes == 7 + size, "another one waits"
    _take(buffer, 1)
    buffer.settle(0)
    assert buffer.bytes == 7 + size, "one is under way"
    buffer.settle(size, is_last=True)
    assert buffer.bytes == 0


def test_an_entry_above_the_bound_is_dropped_alone() -> None:
    """One entry that is larger than the whole buffer does not take others down for ever."""
    buffer, ids = _buffer(1000), InsertIds()
    buffer.offer(INFO, _entry(ids, 5000))
    assert (len(buffer), buffer.bytes, buffer.count_overflowed()) == (0, 0, 1)


def test_the_wake_up_is_asked_for_by_severity_and_by_bytes() -> None:
    """Armed for a severity or for bytes, the buffer calls exactly when one of them is reached."""
    calls: list[int] = []
    ids = InsertIds()
    buffer = _buffer(on_wake=lambda: calls.append(1))
    buffer.arm(ERROR, 500)
    for _ in range(500 // len(_entry(ids))):
        buffer.offer(INFO, _entry(ids))
    assert not calls
    buffer.offer(INFO, _entry(ids))
    assert len(calls) == 1
    buffer.offer(INFO, _entry(ids))
    assert len(calls) == 1, "the alarm of the bytes is for once"
    buffer.offer(ERROR, _entry(ids))
    assert len(calls) == 2
    buffer.arm(NEVER)
    buffer.offer(8, _entry(ids))
    assert len(calls) == 2


def test_a_full_buffer_asks_for_room_before_it_drops() -> None:
    """``on_full`` runs first; if it made room, nothing is dropped."""
    ids = InsertIds()
    taken: list[bytes] = []

    def make_room() -> None:
        taken.extend(run := _drain(buffer))
        buffer.settle(sum(map(len, run)))

    buffer = _buffer(500, on_full=make_room)
    for _ in range(100):
        buffer.offer(INFO, _entry(ids))
    assert buffer.count_overflowed() == 0
    assert len(taken) + len(buffer) == 100


def test_threads_lose_nothing_and_the_bytes_stay_true() -> None:
    """Eight threads that offer while one takes: every entry comes out once, the sum is zero."""
    buffer, ids = _buffer(10**9), InsertIds()
    taken: list[bytes] = []
    done = threading.Event()

    def offer() -> None:
        for _ in range(3000):
            buffer.offer(INFO, _entry(ids))

    def take() -> None:
        while not done.is_set() or len(buffer):
            run = _take(buffer, 100)
            taken.extend(run)
            buffer.settle(sum(map(len, run)), is_last=True)

    taker = threading.Thread(target=take)
    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in [taker, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    taker.join()
    assert len(taken) == len(set(taken)) == 24_000
    assert buffer.bytes == 0


@pytest.mark.parametrize(
    ("add", "name"),
    [
        (Buffer.offer, "bytes"),
        (Spool.offer, "spooled_bytes"),
        (Spool._append, "spooled_bytes"),
    ],
)
def test_adding_to_the_bytes_calls_nothing(add: Callable[..., object], name: str) -> None:
    """The sum is read and written without a call between, at which threads could switch."""
    steps = [step.opname for step in dis.get_instructions(add)]
    names = [step.argval for step in dis.get_instructions(add)]
    read = names.index(name)
    written = read + 1 + names[read + 1 :].index(name)
    assert steps[written].startswith("STORE")
    assert not [step for step in steps[read:written] if "CALL" in step or "JUMP" in step]


def test_inspection_changes_nothing() -> None:
    """Looking at a buffer (urgent, unseen, oldest, snapshot) takes nothing out; forget does."""
    buffer, ids = _buffer(), InsertIds()
    seen = [b""] * RANKS
    assert not any(buffer.unseen(seen))
    assert buffer.oldest() > b'{"insertId":"f'
    first, second = _entry(ids), _entry(ids)
    buffer.offer(INFO, first)
    buffer.offer(DEBUG, second)
    assert buffer.unseen(seen)[INFO] == [first]
    seen[INFO] = first
    assert [run for run in buffer.unseen(seen) if run] == [[second]]
    assert buffer.oldest() == first
    assert buffer.is_urgent(INFO)
    assert not buffer.is_urgent(ERROR)
    assert sorted(buffer.snapshot()) == [(DEBUG, second), (INFO, first)]
    buffer.forget(INFO, first)
    buffer.forget(INFO, first)
    assert buffer.snapshot() == [(DEBUG, second)]
    assert buffer.bytes == len(second)


def test_what_many_threads_drop_is_counted() -> None:
    """No drop is lost between threads, and reading the number is none."""
    buffer, ids = _buffer(100), InsertIds()
    entry = _entry(ids, 100)

    def offer() -> None:
        for _ in range(5000):
            buffer.offer(INFO, entry)

    threads = [threading.Thread(target=offer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = 20_000 - len(buffer)
    assert [buffer.count_overflowed(), buffer.count_overflowed()] == [left, left]


def test_a_wake_up_that_raises_is_repeated() -> None:
    """Whatever the wake-up raises, the next entry makes it again; depth and memory stay inside.

    It closes the fault of a handler that an exception left without a thread, and unarmed.
    """
    ids = InsertIds()
    errors: list[BaseException] = [RecursionError(), MemoryError(), KeyboardInterrupt()]

    def wake() -> None:
        if errors:
            raise errors.pop(0)
        buffer.arm(NEVER)

    buffer = _buffer(on_wake=wake)
    buffer.offer(INFO, _entry(ids))
    buffer.offer(INFO, _entry(ids))
    with pytest.raises(KeyboardInterrupt):
        buffer.offer(INFO, _entry(ids))
    assert buffer.wake_rank == 0
    buffer.offer(INFO, _entry(ids))
    assert (buffer.wake_rank, len(buffer)) == (NEVER, 4)


def test_what_is_put_aside_has_a_quarter_of_the_buffer() -> None:
    """Beyond it the least severe are dropped, oldest first, and what waits is not."""
    dropped: list[bytes] = []
    buffer = Buffer(1000, on_overflow=dropped.append)
    for number in range(9):
        entries = [b"%03d" % number + b"x" * 47]
        buffer.count_taken(50)
        buffer.put_aside(5 if number % 2 else 2, entries)
    buffer.offer(0, b"y" * 500)
    assert [entry[:3] for entry in dropped] == [b"000", b"002", b"004", b"006"]
    assert (buffer.count_aside(), buffer.aside_bytes(), buffer.bytes) == (5, 250, 750)
    assert (len(buffer), buffer.count_overflowed()) == (1, 4)


def test_what_is_put_aside_calls_for_no_batch() -> None:
    """A batch's worth of bytes is of those that wait, or each entry would wake the thread."""
    woken: list[int] = []
    buffer = Buffer(1000, lambda: woken.append(1))
    buffer.count_taken(200)
    buffer.put_aside(5, [b"x" * 200])
    buffer.arm(NEVER, 150)
    buffer.offer(0, b"y" * 100)
    assert not woken
    buffer.offer(0, b"y" * 100)
    assert woken == [1]
