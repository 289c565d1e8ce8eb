"""The insertId: unique, growing, at a fixed place."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
from records import EncoderBench, record_of

from forklog.insert_id import KEY_BYTES, OPENING, InsertIds, number_of, one_by_one


def _id(entry: bytes) -> str:
    return str(json.loads(entry)["insertId"])


def test_the_id_comes_first_and_at_a_fixed_place() -> None:
    """Every entry of either encoder begins with its insertId of 29 hexadecimal digits."""
    bench = EncoderBench()
    for record in (record_of(), record_of(labels={"a": "b"}), record_of("x" * 300_000)):
        for entry in bench.raw(record):
            found = _id(entry)
            assert entry[len(OPENING) : KEY_BYTES].decode() == found
            assert len(found) == 29
            assert int(found, 16) > 0


def test_ids_grow_with_every_entry() -> None:
    """The ids of one process increase, as text too, whichever encoder makes them."""
    bench = EncoderBench()
    records = [record_of(), record_of(labels={"a": "b"}), record_of("x" * 300_000)] * 100
    ids = [_id(entry) for record in records for entry in bench.raw(record)]
    assert ids == sorted(set(ids))


def test_ids_are_unique_across_threads() -> None:
    """Threads that encode at the same time never make the same id."""
    bench = EncoderBench()
    barrier = threading.Barrier(8)
    made: list[list[str]] = []

    def encode() -> None:
        barrier.wait(5)
        made.append([_id(entry) for _ in range(500) for entry in bench.raw(record_of())])

    threads = [threading.Thread(target=encode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    ids = [found for part in made for found in part]
    assert len(ids) == len(set(ids)) == 4000


def test_ids_of_two_pipelines_differ() -> None:
    """Pipelines built at the same moment differ in their random digits, others in their time."""
    before = time.time_ns() // 1000
    heads = [InsertIds().head for _ in range(1000)]
    after = time.time_ns() // 1000
    assert len(set(heads)) == 1000
    assert len({head[-6:] for head in heads}) > 900
    times = [int(head[-19:-6], 16) for head in heads]
    assert before <= times[0] <= times[-1] <= after


@pytest.mark.filterwarnings("ignore:.*is multi-threaded:DeprecationWarning")  # by a thread of xdist
def test_a_later_process_sorts_after_an_earlier_one() -> None:
    """The entries of a child, whose pipeline is built later, sort after its parent's."""
    parent = InsertIds()
    before = parent.key()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, InsertIds().key())
        os._exit(47)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 47
    assert os.read(read, 100) > before
    os.close(read)
    os.close(write)


def test_the_number_can_be_read_back() -> None:
    """An entry's number within its pipeline is read from its bytes, and counts from zero."""
    bench = EncoderBench()
    assert [number_of(bench.raw(record_of())[0]) for _ in range(3)] == [0, 1, 2]


def test_the_count_carries_from_digit_to_digit() -> None:
    """Past 4,095, where the last three digits begin again, numbers go on and ids still grow."""
    ids = InsertIds()
    openings = [ids.opening() for _ in range(70_000)]
    assert [number_of(opening) for opening in openings] == list(range(70_000))
    assert openings == sorted(openings)
    assert {len(opening) for opening in openings} == {KEY_BYTES}
    assert ids.number() == 70_000


def test_a_key_separates_earlier_entries_from_later_ones() -> None:
    """A key is above every entry made before it, and below every later one."""
    bench = EncoderBench()
    (before,) = bench.raw(record_of())
    key = bench.ids.key()
    (after,) = bench.raw(record_of())
    assert before < key < after


@pytest.mark.parametrize("change", [-(10**15), 0, 10**15], ids=["back", "same", "forward"])
def test_a_successor_sorts_after_whatever_the_clock_says(change: int) -> None:
    """The ids of a pipeline's successor are above all of its own, also if the clock was set.

    Closes: an order that rests on a clock which a person may set back.
    """
    now = [1_800_000_000 * 10**9]
    parent, child, grandchild = (InsertIds(lambda: now[0]) for _ in range(3))
    before = parent.key()
    for young, old in ((child, parent), (grandchild, child)):
        now[0] += change
        young.renew(after=old)
        key = young.key()
        assert key > before
        assert len(key) == KEY_BYTES
        before = key


@pytest.mark.parametrize("seconds", [-5, 10**10])
def test_a_clock_out_of_bounds_keeps_the_place(seconds: int) -> None:
    """Before 1970 and after 2112 an id still has its 29 digits."""
    parent = InsertIds(lambda: seconds * 10**9)
    child = InsertIds(lambda: seconds * 10**9)
    child.renew(after=parent)
    for ids in (parent, child):
        assert len(ids.opening()) == KEY_BYTES
        assert number_of(ids.opening()) == 1


def test_one_by_one_gives_the_same_as_the_iterator() -> None:
    """Where the interpreter has no lock, the ids are those of other builds, none left out."""
    values = [b"%d" % number for number in range(1000)]
    one = one_by_one(iter([*values, *values]))
    assert [one() for _ in range(1000)] == values
    barrier, made = threading.Barrier(4), list[bytes]()

    def take() -> None:
        barrier.wait(5)
        made.extend([one() for _ in range(250)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(values)
