"""The pipelines of this process, held weakly; fork_hooks and exit_hooks call each of them."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

T = TypeVar("T")


class Members(Generic[T]):
    """A set that keeps nothing alive; any thread may add to it, no lock is taken."""

    def __init__(self) -> None:
        """Be empty."""
        self._live: weakref.WeakSet[T] = weakref.WeakSet()

    def add(self, member: T) -> None:
        """Add a member, for as long as it lives. Never blocks."""
        self._live.add(member)

    def __len__(self) -> int:
        """Return how many live."""
        return len(self.all())

    def all(self) -> list[T]:
        """Return those that live, while other threads may add some.

        Raises:
            RecursionError: the caller is too deep.
        """
        while True:
            try:
                return list(self._live)
            except RecursionError:  # noqa: PERF203 - a RuntimeError as well, and it would stay
                raise
            except RuntimeError:  # one was added meanwhile
                continue
