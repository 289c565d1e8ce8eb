"""Lets one thread at a time run the adopter; closes an orphan only once no other thread uses it.

Used by `forklog.spool.spooler`, from any thread.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from forklog.delivery.base import SendOther
from forklog.process.base import Mark, home
from forklog.spool.left.adoption import Sums
from forklog.turn import TURN, Turn, alone

if TYPE_CHECKING:
    from forklog.spool.adopter import Adopter
    from forklog.spool.folder import Folder


class Adopting:
    """The adopter of one process and handler, and those before it.

    Args:
        sums: what became of entries, by whichever adopter.
    """

    def __init__(self, sums: Sums) -> None:
        """Have no adopter yet."""
        self.adopter: Adopter | None = None
        self._sums = sums
        self._turn = Turn()  # of whoever reads or closes files of orphans
        self._replaced: list[Adopter] = []  # to be closed
        self._collected: list[tuple[Adopter, Mark]] = []  # to be closed once this is collected
        weakref.finalize(self, _close_collected, self._collected).atexit = False
        self.folders: list[Folder] = []
        """To be closed once no adopter uses them."""
        self._is_over = False

    def give_up(self, folder: Folder | None) -> None:
        """Have no adopter, where the spool of a folder cannot be opened; let go of both.

        A thread may have begun to look at the folder by then.
        """
        self.folders.extend([folder] if folder is not None else [])
        self.replace(None)

    def replace(self, adopter: Adopter | None) -> None:
        """Go on with another adopter; let go of the one before it."""
        if adopter is not None:
            self._collected.append((adopter, home()))
        before, self.adopter = self.adopter, adopter
        self._replaced.extend([before] if before is not None else [])
        self._close()

    def let_go(self, folder: Folder) -> None:
        """Close a folder once no adopter uses it."""
        self.folders.append(folder)
        self._close()

    def end(self) -> None:
        """Look at nothing any more; let go of all orphans and of the folders."""
        self._is_over = True
        self._close()

    def is_under_way(self) -> bool:
        """Tell whether a thread looks at the folder, or sends what is in it."""
        return TURN in self._turn

    def seconds(self) -> float | None:
        """Return the seconds until a pass is due."""
        return self.adopter.seconds() if self.adopter is not None else None

    def once(self, send: SendOther) -> Mapping[str, int]:
        """Look at the folder, or send one batch of an orphan; nothing where another thread does."""
        taker = object()
        try:
            adopter = self.adopter
            if adopter is None or self._turn.setdefault(TURN, taker) is not taker:
                return {}
            before = self._sums.refused
            delivered = adopter.pass_once(send)
            refused = self._sums.refused - before
            return {"delivered": delivered, "refused": refused} if delivered or refused else {}
        finally:
            if TURN in self._turn and self._turn[TURN] is taker:
                del self._turn[TURN]
                if self._is_over or self._replaced or self.folders:
                    self._close()

    def _close(self) -> None:
        """Let go of orphans; a thread that sends one of them does so at the end of its pass."""
        alone(self._turn, self._let_go)

    def _let_go(self) -> None:
        while self._replaced:
            before = self._replaced[0]
            before.close()
            # Only this one: another thread may be about to have a new one follow it.
            for one in [one for one in [*self._collected] if one[0] is before]:
                self._collected.remove(one)
            del self._replaced[0]
        if self._is_over and self.adopter is not None:
            self.adopter.close()
        while self.folders:
            self.folders.pop().close()


def _close_collected(adopters: list[tuple[Adopter, Mark]]) -> None:
    """Let go of the orphans of a handler that was collected; in a child they are the parent's.

    No thread uses them, since a pass holds what is collected here. It takes no lock and waits for
    nothing, so it is safe at any line of any thread. An orphan holds its claim until it is closed:
    no other part of this process can have locked the same file by then.
    """
    for adopter, here in adopters:
        if here[0]:
            _close_alone(adopter)


def _close_alone(adopter: Adopter) -> None:
    with contextlib.suppress(Exception):  # it would be printed
        adopter.close()
