"""The store alone: copies, order, positions, and what its file must be."""

from __future__ import annotations

import os
import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from forklog.emulator import timestamps
from forklog.emulator.api.claim import StoreError
from forklog.emulator.api.listing import page_of
from forklog.emulator.api.store import Store
from forklog.emulator.api.validate import Row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from forklog.emulator.api.store import Found


@pytest.fixture
def store() -> Iterator[Store]:
    """Return an empty store in memory."""
    with closing(Store()) as made:
        yield made


def _row(timestamp: int, insert_id: str, log: str = "projects/p/logs/web") -> Row:
    return Row("projects/p", log, timestamp, insert_id, 200, insert_id.encode())


def _bodies(store: Store, where: str = "1", *, newest_first: bool = False) -> list[bytes]:
    return [found.body for found in store.scan(where, (), newest_first=newest_first)]


def test_rows_come_back_in_order(store: Store) -> None:
    """By time, then by insertId, which stays ascending when the newest come first."""
    assert store.add([_row(2, "b"), _row(1, "z"), _row(2, "a")]) == 3
    assert _bodies(store) == [b"z", b"a", b"b"]
    assert _bodies(store, newest_first=True) == [b"a", b"b", b"z"]
    assert _bodies(store, "timestamp > 1") == [b"a", b"b"]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("project", ["", "p"])
@pytest.mark.parametrize(
    "source", ["", "severity>=INFO", 'timestamp>="1970-01-01T00:00:00Z"', "severity=INFO a"]
)
def test_few_entries_of_many_cost_little(
    store: Store, project: str, source: str, *, newest_first: bool
) -> None:
    """A page of ten reads what it shows, however much is stored: nothing is sorted for it."""
    body = b'{"severity":"INFO","textPayload":"a"}'
    row = Row("projects/p", "projects/p/logs/web", 0, "", 200, body)
    store.add([row._replace(timestamp=n, insert_id=str(n)) for n in range(5_000)])
    asked = {
        "filter": source,
        "pageSize": 10,
        "orderBy": f"timestamp {'desc' if newest_first else 'asc'}",
        "resourceNames": [f"projects/{project}"] if project else [],
    }
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._database.set_progress_handler(count, 100)
    assert len(page_of(store, orjson.dumps(asked), is_control=True).rows) == 10
    assert steps < 50  # hundreds of SQLite's instructions; where all are sorted it is 550


class _Counting(Store):
    """Counts the rows that a list has to look into."""

    seen = 0

    def scan(
        self, where: str, values: Sequence[Any], *, newest_first: bool = False
    ) -> Generator[Found, None, None]:
        """Count what is taken."""
        for found in super().scan(where, values, newest_first=newest_first):
            self.seen += 1
            yield found


def _received(store: Store, since: int, operator: str = ">=") -> list[str]:
    """Return the insertIds of what was received since a time, as a list of the API."""
    source = f'receiveTimestamp{operator}"{timestamps.render(since)}"'
    page = page_of(store, orjson.dumps({"filter": source, "pageSize": 1000}), is_control=True)
    return [row.insert_id for row in page.rows]


def _receive(store: Store, received: int) -> None:
    number = store.last_position()
    body = orjson.dumps({"receiveTimestamp": timestamps.render(received)})
    store.add([_row(number, f"{number:05}")._replace(body=body)], received)


def test_what_was_received_lately_is_found_without_a_look_at_the_rest() -> None:
    """Of an hour of entries, those of the last seconds are tested, as each poll of tail asks."""
    start = timestamps.parse("2026-01-01T00:00:00Z")
    with closing(_Counting()) as store:
        for second in range(3_600):
            _receive(store, start + second * timestamps.SECOND + 7)
        assert _received(store, start + 3_597 * timestamps.SECOND) == ["03597", "03598", "03599"]
        assert store.seen <= 4
        assert _received(store, start + 3_599 * timestamps.SECOND, "=") == []
        assert len(_received(store, start, "<")) == 0
        assert len(_received(store, start, "!=")) == 1_000


def test_what_was_received_is_found_whatever_the_clock_did(tmp_path: Path) -> None:
    """Clocks that are set back, and entries of an earlier run, hide nothing."""
    source = random.Random(3)  # noqa: S311 - repeatable on purpose
    start = timestamps.parse("2026-01-01T00:00:00Z")
    times: list[int] = []
    for _ in range(2):
        with closing(Store(tmp_path / "db")) as store:
            for _ in range(150):
                times.append(start + source.randrange(20 * timestamps.SECOND))
                _receive(store, times[-1])
            for since in (start, *times, start + 30 * timestamps.SECOND):
                expected = [f"{n:05}" for n, time in enumerate(times) if time >= since]
                assert _received(store, since) == expected


def test_equal_rows_are_copies_of_the_first(store: Store) -> None:
    """Within a write and across writes, the first body stays and copies are counted."""
    assert store.add([_row(1, "a"), _row(1, "a")]) == 1
    assert store.add([_row(1, "b"), _row(1, "a"), _row(1, "a", "projects/p/logs/x")]) == 2
    assert store.shown == 3
    (repeated,) = store.repeated()
    assert repeated["copies"] == 3


def test_positions_only_grow(store: Store) -> None:
    """Copies and deletions never give a position twice, so a page's ceiling stays a ceiling."""
    store.add([_row(1, "a"), _row(1, "a")])
    ceiling = store.last_position()
    store.delete_log("projects/p/logs/web")
    assert store.shown == 0
    store.add([_row(1, "a")])
    assert store.last_position() > ceiling
    assert _bodies(store, f"position <= {ceiling}") == []
    store.clear()
    assert _bodies(store) == []


def test_a_failed_write_stores_nothing(store: Store) -> None:
    """Rows of one write are stored together or not at all."""
    with pytest.raises(OverflowError):
        store.add([_row(1, "a"), _row(2**70, "b")])
    assert _bodies(store) == []
    assert store.add([_row(1, "a")]) == 1


def test_the_file_is_reopened_with_what_it_holds(tmp_path: Path) -> None:
    """Rows, copies and positions outlive the store."""
    file = tmp_path / "log.db"
    with closing(Store(file)) as first:
        first.add([_row(1, "a"), _row(1, "a"), _row(2, "b")])
    with closing(Store(file)) as second:
        assert (_bodies(second), second.shown) == ([b"a", b"b"], 2)
        assert second.repeated()[0]["copies"] == 2
        assert second.add([_row(3, "c")]) == 1


def test_only_a_plain_file_of_the_user_is_opened(tmp_path: Path) -> None:
    """Links of both kinds, pipes, directories and missing folders are refused."""
    (tmp_path / "plain").touch(0o600)
    (tmp_path / "soft").symlink_to(tmp_path / "plain")
    os.link(tmp_path / "plain", tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    for name in ("soft", "hard", "pipe", "folder", "missing/file"):
        with pytest.raises(StoreError, match="plain file"):
            Store(tmp_path / name)
    assert (tmp_path / "plain").read_bytes() == b""
