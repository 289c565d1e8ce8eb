"""Keeps the entries in SQLite: `write` puts rows in, `listing` reads them in order.

One connection, used by one thread (the server's worker), so there is nothing to lock. Entries that
are equal in log, timestamp and insertId are one row with a count of copies. The index that tells
them apart is also the one that gives the order of the list.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forklog.emulator.api.claim import StoreError, claim
from forklog.emulator.api.receipts import Receipts
from forklog.emulator.api.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from forklog.emulator.api.validate import Row

_LOCK_SECONDS: Final = 1.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY,
    parent TEXT NOT NULL,
    log_name TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    insert_id TEXT NOT NULL,
    severity INTEGER NOT NULL,
    body BLOB NOT NULL,
    copies INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX IF NOT EXISTS in_order ON entries (timestamp, insert_id, log_name);
"""


class Found(NamedTuple):
    """A row on its way out: its place in the order and its JSON."""

    timestamp: int
    insert_id: str
    log_name: str
    body: bytes


class Recent(NamedTuple):
    """A row in the order of arrival, for those who follow the store."""

    position: int
    timestamp: int
    insert_id: str
    severity: int
    copies: int
    body: bytes


class Store:
    """All entries; every method must be called from the thread that made it.

    Args:
        path: the database file, made with mode 0600 if missing; None keeps all in memory.

    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the database; StoreError if it is not a plain file of this user."""
        if path is not None:
            for name in (path, path.with_name(path.name + "-journal")):
                claim(name)
        self._database = sqlite3.connect(
            path or ":memory:", isolation_level=None, timeout=_LOCK_SECONDS
        )
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            msg = f"cannot use the database {str(path)!r}: {error}; name another file"
            raise StoreError(msg) from error
        self._last_position: int = self._one("SELECT coalesce(max(position), 0) FROM entries")
        self.shown = self._count()
        self.receipts = Receipts(self._last_position)
        self._watches: list[Watch] = []

    def add(self, rows: Sequence[Row], received: int = 0) -> int:
        """Store rows, received at a time in nanoseconds since 1970, in one transaction.

        Returns how many were seen for the first time.
        """
        first = self._last_position + 1
        numbered = [(first + index, *row) for index, row in enumerate(rows)]
        with self._database:
            self._database.execute("BEGIN")
            new = self._insert(numbered)
            if new < len(rows):
                self._count_copies(numbered, first)
        self._last_position += len(rows)
        self.receipts.note(received, self._last_position)
        self.shown += new
        return new

    def scan(
        self, where: str, values: Sequence[Any], *, newest_first: bool = False
    ) -> Generator[Found, None, None]:
        """Yield the rows that meet an SQL condition, by timestamp, equal ones by insertId."""
        direction = "DESC" if newest_first else "ASC"
        query = (
            f"SELECT timestamp, insert_id, log_name, body FROM entries WHERE {where} "  # noqa: S608  all values are bound
            f"ORDER BY timestamp {direction}, insert_id, log_name"
        )
        with closing(self._database.execute(query, values)) as cursor:
            yield from map(Found._make, cursor)

    def repeated(self) -> list[dict[str, Any]]:
        """Return the entries that were written more than once, oldest first."""
        query = (
            "SELECT log_name, timestamp, insert_id, copies FROM entries WHERE copies > 1 "
            "ORDER BY timestamp, insert_id"
        )
        names = ("logName", "timestampNanos", "insertId", "copies")
        return [dict(zip(names, row, strict=True)) for row in self._database.execute(query)]

    def arrived(self, after: int, limit: int, parents: Sequence[str] = ()) -> list[Recent]:
        """Return the rows that were stored after a position, in the order of arrival."""
        among = f"AND parent IN ({', '.join('?' * len(parents))})" if parents else ""
        query = (
            "SELECT position, timestamp, insert_id, severity, copies, body FROM entries "  # noqa: S608  all values are bound
            f"WHERE position > ? {among} ORDER BY position LIMIT ?"
        )
        return list(map(Recent._make, self._database.execute(query, (after, *parents, limit))))

    def entry_at(self, position: int) -> bytes | None:
        """Return the JSON of the entry at a position; None if it is gone."""
        query = "SELECT body FROM entries WHERE position = ?"
        found = self._database.execute(query, (position,)).fetchone()
        return None if found is None else bytes(found[0])

    def copies_at(self, positions: Iterable[int]) -> list[tuple[int, int]]:
        """Return positions with the number of copies of the entries there."""
        query = "SELECT position, copies FROM entries WHERE position = ?"
        rows = (self._database.execute(query, (at,)).fetchone() for at in sorted(positions))
        return [row for row in rows if row is not None]

    def position_before(self, newest: int) -> int:
        """Return the position after which the newest so many entries stand."""
        query = "SELECT position FROM entries ORDER BY position DESC LIMIT 1 OFFSET ?"
        found = self._database.execute(query, (newest,)).fetchone()
        return 0 if found is None else int(found[0])

    def log_names(self, parents: Sequence[str], after: str, limit: int) -> list[str]:
        """Return names of logs below these parents that have entries, sorted, from a name on."""
        query = (
            "SELECT DISTINCT log_name FROM entries "  # noqa: S608  all values are bound
            f"WHERE parent IN ({', '.join('?' * len(parents))}) AND log_name > ? "
            "ORDER BY log_name LIMIT ?"
        )
        return [name for (name,) in self._database.execute(query, (*parents, after, limit))]

    def watch(self) -> Watch:
        """Note from now on what becomes of stored entries, until `unwatch`."""
        watch = Watch()
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Note nothing more in this one."""
        self._watches.remove(watch)

    def last_position(self) -> int:
        """Return the position of the newest row: what a first page may show ends there."""
        return self._last_position

    def delete_log(self, log_name: str) -> int:
        """Remove all entries of a log and return how many they were."""
        deleted = self._database.execute("DELETE FROM entries WHERE log_name = ?", (log_name,))
        self.shown -= deleted.rowcount
        self._note_loss()
        return deleted.rowcount

    def clear(self) -> None:
        """Remove every entry."""
        self._database.execute("DELETE FROM entries")
        self.shown = 0
        self._note_loss()

    def close(self) -> None:
        """Close the database; nothing can be called after it."""
        self._database.close()

    def _prepare(self) -> None:
        # The exclusive lock, once taken, is kept, so a second emulator on the file fails at once.
        # TRUNCATE keeps the claimed journal in place; WAL would make files that could be planted.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=TRUNCATE", "synchronous=OFF"):
            self._database.execute(f"PRAGMA {pragma}").fetchall()
        self._database.execute("PRAGMA temp_store=MEMORY")
        self._database.executescript("BEGIN EXCLUSIVE; COMMIT;" + _SCHEMA)

    def _insert(self, numbered: Sequence[tuple[Any, ...]]) -> int:
        return self._database.executemany(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, 1)", numbered
        ).rowcount

    def _count_copies(self, numbered: Sequence[tuple[Any, ...]], first: int) -> None:
        stored = self._database.execute(
            "SELECT position FROM entries WHERE position >= ?", (first,)
        )
        new = {position for (position,) in stored}
        keys = [(row[2], row[3], row[4]) for row in numbered if row[0] not in new]
        self._database.executemany(
            "UPDATE entries SET copies = copies + 1 "
            "WHERE log_name = ? AND timestamp = ? AND insert_id = ?",
            keys,
        )
        if self._watches:
            self._note_repeated(keys)

    def _note_repeated(self, keys: Sequence[tuple[str, int, str]]) -> None:
        query = (
            "SELECT position FROM entries WHERE log_name = ? AND timestamp = ? AND insert_id = ?"
        )
        positions = {self._database.execute(query, key).fetchone()[0] for key in keys}
        for watch in self._watches:
            watch.note_repeated(positions)

    def _note_loss(self) -> None:
        for watch in self._watches:
            watch.note_loss()

    def _count(self) -> int:
        return int(self._one("SELECT count(*) FROM entries"))

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]
