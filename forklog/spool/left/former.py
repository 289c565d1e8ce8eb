"""Earlier owners of a spool whose files were removed; their heads stay locked until copies exist.

Each keeps its head locked meanwhile: no adopter takes files that are still being copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from forklog.spool.left.tidy import has_files, remove_headless

if TYPE_CHECKING:
    from forklog.spool.folder import Folder
    from forklog.spool.owner import Owner


class Former:
    """For whoever looks after the spool, one at a time.

    Args:
        let_go: takes the folder of an owner that has ended.
    """

    def __init__(self, let_go: Callable[[Folder], object]) -> None:
        """Have none."""
        self._let_go = let_go
        self._owners: list[Owner] = []

    def add(self, owner: Owner) -> None:
        """Keep one whose segments wait for room; end those before it that have no file any more.

        An adopter could take nothing of theirs.
        """
        for before in self._owners[:]:
            if not has_files(before.folder, before.prefix):
                before.leave()
                self._let_go(before.folder)
                self._owners.remove(before)
        self._owners.append(owner)

    def has_any(self) -> bool:
        """Tell whether one was added and has not ended."""
        return bool(self._owners)

    def end(self, *, is_copied: bool) -> None:
        """Let go of all heads, and of what is left of their files.

        Args:
            is_copied: whether none of their segments waits for room.
        """
        while self._owners:
            owner = self._owners[0]
            owner.leave()
            if is_copied:
                remove_headless(owner.folder, owner.prefix)
            self._let_go(owner.folder)
            del self._owners[0]
