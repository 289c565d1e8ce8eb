"""Readers of the store: how much one read looks at, and what it gives back where it ends early."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from forklog.emulator.api import reader as reader_module
from forklog.emulator.api.reader import Reader
from forklog.emulator.api.store import Store
from forklog.emulator.api.validate import Row
from forklog.emulator.filter import budget

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = " OR ".join(f'SEARCH("zz{number}")' for number in range(30))


@pytest.fixture
def store() -> Iterator[Store]:
    """Return an empty store in memory."""
    with closing(Store()) as made:
        yield made


def _add(store: Store, *texts: str) -> None:
    rows = []
    for text in texts:
        position = store.last_position() + len(rows)
        body = orjson.dumps({"logName": "projects/p/logs/web", "textPayload": text})
        rows.append(Row("projects/p", "projects/p/logs/web", position, str(position), 0, body))
    store.add(rows)


def _read_all(reader: Reader) -> tuple[list[str], int]:
    """Return the texts that all reads found, and how many reads that took."""
    texts: list[str] = []
    for reads in range(1, 1000):
        chunk = reader.read()
        texts += [one.entry["textPayload"] for one in chunk.arrived]
        if not chunk.left:
            return texts, reads
    raise AssertionError("the reader came to no end")


def test_a_read_ends_when_its_time_is_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that is slow on each entry takes many reads, so that writes come in between."""
    monkeypatch.setattr(reader_module, "READ_SECONDS", 0.001)
    reader = Reader(store, f"{SLOW} OR last")
    _add(store, *["word " * 4_000] * 40, "last")
    texts, reads = _read_all(reader)
    assert texts == ["last"]
    assert reads > 2


def test_no_entry_is_missed_or_read_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that end after each entry find what one read finds, and each time look at one."""
    monkeypatch.setattr(reader_module, "READ_SECONDS", -1.0)
    reader = Reader(store, 'NOT textPayload="b"')
    _add(store, "a", "b", "c", "d")
    assert _read_all(reader) == (["a", "c", "d"], 4)
    _add(store, "e")
    assert _read_all(reader) == (["e"], 1)


def test_copies_are_counted_where_a_read_ended_early(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that was repeated comes with its copies, whether it was read before or not."""
    monkeypatch.setattr(reader_module, "READ_SECONDS", -1.0)
    reader = Reader(store, "")
    _add(store, "a", "b")
    assert reader.read().left == 1
    for position in (0, 1):
        body = orjson.dumps({"textPayload": "again"})
        name = "projects/p/logs/web"
        store.add([Row("projects/p", name, position, str(position), 0, body)])
    chunk = reader.read()
    assert chunk.copies == [(1, 2)]
    assert [(one.row.position, one.row.copies) for one in chunk.arrived] == [(2, 2)]


def test_what_had_matched_comes_with_the_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that runs out of time ends the read; the entries before that one are in it."""
    monkeypatch.setattr(budget, "SEARCH_SECONDS", 0.0)
    reader = Reader(store, 'textPayload=~"ok|^(?:a|a|aa)+$"')
    _add(store, "ok", "a" * 20_000 + "b", "ok")
    chunk = reader.read()
    assert [one.entry["textPayload"] for one in chunk.arrived] == ["ok"]
    assert chunk.error is not None
    assert "takes too long" in str(chunk.error)
