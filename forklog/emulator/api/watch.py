"""What became of stored entries since a follower looked last: the store notes, the reader takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Watch:
    """The changes to entries that a follower has not heard of."""

    def __init__(self) -> None:
        """Begin with nothing changed."""
        self._repeated: set[int] = set()
        self._has_lost = False

    def note_repeated(self, positions: Iterable[int]) -> None:
        """Note the positions of entries that were written again."""
        self._repeated.update(positions)

    def note_loss(self) -> None:
        """Note that entries were removed."""
        self._has_lost = True

    def take_repeated(self) -> set[int]:
        """Return, once, the positions of entries that were written again."""
        taken, self._repeated = self._repeated, set()
        return taken

    def take_loss(self) -> bool:
        """Tell, once, whether entries were removed."""
        taken, self._has_lost = self._has_lost, False
        return taken
