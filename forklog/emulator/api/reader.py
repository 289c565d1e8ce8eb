"""Follows the store in the order of arrival through a filter; live and tail read from it.

Runs in the worker thread. One `read` looks at a bounded number of entries for a bounded time, so
that writes and other readers have their turn in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from forklog.emulator.errors import ApiError
from forklog.emulator.filter.budget import Budget
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.parse import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forklog.emulator.api.store import Recent, Store
    from forklog.emulator.filter.parse import Node

CHUNK: Final = 500
READ_SECONDS: Final = 0.1  # of CPU time; then a read ends after the entry that it looks at


class Arrived(NamedTuple):
    """A row that matches, with its JSON as a dictionary."""

    row: Recent
    entry: dict[str, Any]


class Chunk(NamedTuple):
    """What one read has found.

    Attributes:
        arrived: the entries that match, in the order of arrival.
        copies: positions of entries that were written again, with their number of copies.
        has_lost: entries were removed; a reader of what was there has gone back to its beginning.
        left: at most so many entries are still to be looked at.
        error: the filter takes too long on the entry behind these; the reader cannot go on.

    """

    arrived: list[Arrived]
    copies: list[tuple[int, int]]
    has_lost: bool
    left: int
    error: FilterError | None = None


class Reader:
    """Read entries as they arrive.

    Args:
        store: where they are.
        source: the filter.
        parents: only entries below these; below any if empty.
        newest: how many of the entries that are there already are to be read.

    Raises:
        FilterError: the filter is not in the language.

    """

    def __init__(
        self, store: Store, source: str, parents: Sequence[str] = (), newest: int = 0
    ) -> None:
        """Begin among what is there; `close` has to end it."""
        self._store = store
        self._parents = parents
        self._newest = newest
        self._tree = check(source)
        self._position = self._begin()
        self._watch = store.watch()

    def read(self) -> Chunk:
        """Look at the next entries, at one at least if there is one."""
        watch, store = self._watch, self._store
        has_lost = watch.take_loss()
        if has_lost and self._newest:
            self._position = self._begin()
        rows = store.arrived(self._position, CHUNK, self._parents)
        known = {position for position in watch.take_repeated() if position <= self._position}
        arrived, error = self._matching(rows)
        is_at_end = len(rows) < CHUNK and (not rows or self._position == rows[-1].position)
        left = 0 if is_at_end else store.last_position() - self._position
        return Chunk(arrived, store.copies_at(known), has_lost, left, error)

    def close(self) -> None:
        """Read no more."""
        self._store.unwatch(self._watch)

    def _matching(self, rows: Sequence[Recent]) -> tuple[list[Arrived], FilterError | None]:
        """Test rows until the time is over; what was tested is behind the reader then."""
        budget = Budget()
        test = predicate(self._tree, budget)
        arrived: list[Arrived] = []
        for row in rows:
            one = Arrived(row, orjson.loads(row.body))
            try:
                if test(one.entry):
                    arrived.append(one)
            except FilterError as error:
                return arrived, error
            self._position = row.position
            if budget.spent() > READ_SECONDS:
                break
        return arrived, None

    def _begin(self) -> int:
        store = self._store
        return store.position_before(self._newest) if self._newest else store.last_position()


def check(source: str) -> Node:
    """Return the tree of a filter in which names and values are right too; FilterError if not."""
    tree = parse(source)
    predicate(tree)
    return tree


def refused(error: FilterError, source: str) -> ApiError:
    """Return the answer to a call whose filter is wrong."""
    return ApiError(error.shown(source))
