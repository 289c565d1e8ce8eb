"""Follows a filter by pages of a source: each entry once, and none left out.

A poll asks for what the server has *received* since the poll before. So an entry that comes late is
found whatever its own timestamp is. An entry may take some seconds until a read finds it. Therefore
each poll begins earlier than the one before began, and what was seen is left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Protocol

from forklog.tail.source import Entry, Page

_KEPT_KEYS = 100_000
_FIRST_DAYS = 1  # the entries that are shown at first are looked for so far back
Key = tuple[str, str, str]


class Reader(Protocol):
    """What pages come from: `forklog.tail.source.Source`, or what a test scripts."""

    is_emulator: bool

    def read(
        self, query: str, *, is_newest_first: bool = False, token: str = "", size: int = ...
    ) -> Page:
        """Return one page, or raise ReadError."""
        ...


class Follower:
    """The entries that match a filter, as they come.

    Args:
        source: where they are read.
        query: the filter, in the Logging query language; empty for all.
        overlap: seconds that each poll goes back behind the beginning of the one before.

    """

    def __init__(self, source: Reader, query: str, overlap: float) -> None:
        """Read nothing yet."""
        self._source, self._query, self._overlap = source, query, overlap
        self._seen: OrderedDict[Key, str] = OrderedDict()
        self._since = 0.0
        self._first = self._older = ""

    def begin(self, lines: int) -> list[Entry]:
        """Return the newest entries, oldest first; what comes after them is for `poll`.

        Raises:
            ReadError: the server refuses, or does not answer.
        """
        self._first, token, began = self._first_query(), "", 0.0
        found: list[Entry] = []
        while True:
            page = self._source.read(self._first, is_newest_first=True, token=token)
            began = began or page.began
            found += page.entries
            token = page.token
            if not token or len(found) >= lines:
                break
        self._since = began - self._overlap
        self._leave_out(found, token)
        return found[:lines][::-1]

    def poll(self) -> Iterator[Entry]:
        """Yield what is new, oldest first.

        Raises:
            ReadError: the server refuses, or does not answer; the next poll begins where this did.
        """
        while self._older:
            page = self._source.read(self._first, is_newest_first=True, token=self._older)
            self._leave_out(page.entries, page.token)
        since = _rendered(self._since)
        query = _and(self._query, f'receiveTimestamp>="{since}"')
        began, token = 0.0, ""
        while True:
            page = self._source.read(query, token=token)
            began, token = began or page.began, page.token
            yield from (entry for entry in page.entries if self._is_new(entry))
            if not token:
                break
        self._since = began - self._overlap
        self._forget(_rendered(self._since))

    def _leave_out(self, entries: list[Entry], token: str) -> None:
        """Take entries of before the call, newest first, as seen.

        The first poll goes back behind the call. So it reads the pages of older entries first,
        as far as it would find these again.
        """
        for entry in reversed(entries):
            self._is_new(entry)
        is_behind = bool(entries) and _second(entries[-1].get("timestamp")) < _second(
            _rendered(self._since)
        )
        self._older = "" if is_behind else token

    def _first_query(self) -> str:
        if self._source.is_emulator:
            return self._query
        day = datetime.now(timezone.utc) - timedelta(days=_FIRST_DAYS)
        return _and(self._query, f'timestamp>="{_rendered(day.timestamp())}"')

    def _is_new(self, entry: Entry) -> bool:
        key = (
            str(entry.get("logName")), str(entry.get("timestamp")), str(entry.get("insertId"))
        )  # fmt: skip
        if key in self._seen:
            return False
        self._seen[key] = str(entry.get("receiveTimestamp"))
        return True

    def _forget(self, since: str) -> None:
        """Forget the oldest keys, but none that the next poll may find again."""
        while len(self._seen) > _KEPT_KEYS:
            key, received = next(iter(self._seen.items()))
            if received >= since:
                return
            del self._seen[key]


def _and(query: str, more: str) -> str:
    """Join two filters; the first one may end with a comment."""
    return f"(\n{query}\n) AND {more}" if query.strip() else more


def _second(timestamp: object) -> str:
    """Return the part that orders as text does; fractions differ in their length."""
    return str(timestamp)[:19]


def _rendered(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
