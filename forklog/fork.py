"""Step 2, the fork gate: for each process its own product of one factory; used by the handler.

A product carries a `Mark` that is true only in the process that made it. On Linux the mark lies in
a page that the kernel itself wipes in every child (``MADV_WIPEONFORK``, Linux 4.14): it sees any
fork, also those of C code that runs no Python hook, it cannot be fooled by a PID that comes back,
and reading it costs a tenth of a ``getpid`` system call. Elsewhere the mark compares PIDs, and the
at-fork callback covers a PID that comes back.
"""

from __future__ import annotations

import functools
import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = [
    "Mark",
    "PerProcess",
    "PidMark",
    "Product",
    "home",
    "keep_in_children",
    "new_mark",
    "pid",
    "register_at_fork",
]

_MADV_WIPEONFORK = 18  # linux/mman-common.h; the mmap module does not name it


class Mark(Protocol):
    """Truth at index 0 in the process that made it, and only until it is revoked."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Product(Protocol):
    """What a gate keeps: something that belongs to one process."""

    mark: Mark
    heir: dict[str, object]


class PidMark:
    """A mark for systems that cannot wipe a page at fork: it remembers the PID."""

    __slots__ = ("__weakref__", "_pid")

    def __init__(self) -> None:
        """Belong to the calling process."""
        self._pid = os.getpid()
        _pid_marks.add(self)

    def __getitem__(self, _index: int) -> int:
        return self._pid == os.getpid()

    def __setitem__(self, _index: int, value: int) -> None:
        self._pid = os.getpid() if value else 0


_pid_marks: weakref.WeakSet[PidMark] = weakref.WeakSet()


def new_mark() -> Mark:
    """Return a mark that is true in this process and false in all its future children."""
    if hasattr(mmap, "MAP_ANONYMOUS"):
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_MADV_WIPEONFORK)
        except (OSError, ValueError, AttributeError):
            page.close()
        else:
            page[0] = 1
            return page
    return PidMark()


def pid() -> int:
    """Return the PID of this process, by a system call."""
    return os.getpid()


P = TypeVar("P", bound=Product)


class PerProcess(Generic[P]):
    """Keep one product for each process: made at construction, and anew after every fork.

    Reading is ``gate.product`` and a look at its mark (the hot path of a log call does just that);
    where the mark is false, `current` makes the successor. No lock is taken, so a fork that left
    every inherited lock held cannot stop it; several threads that find the same stale product agree
    on one successor. The inherited product is handed to the factory and otherwise never touched.
    """

    def __init__(self, build: Callable[[P | None], P]) -> None:
        """Build the first product; ``build(stale)`` gets None here and the inherited one later."""
        self._build = build
        self.product = build(None)

    def current(self) -> P:
        """Return this process's product; build it if the known one is another's. Never blocks."""
        product = self.product
        while not product.mark[0]:
            # dict.setdefault is one step: of two threads here, both get the same successor.
            product = product.heir.setdefault("product", self._build(product))  # type: ignore[assignment]
            self.product = product
        return product


_homes: list[Mark] = []
_kept: dict[weakref.ref[Any], tuple[Mark, tuple[object, ...]]] = {}


def home() -> Mark:
    """Return a mark of this process, always the same: true here, false in all its children."""
    if not _homes or not _homes[-1][0]:
        _homes.append(new_mark())
    return _homes[-1]


def keep_in_children(owner: object, *things: object) -> None:
    """Have ``things`` live as long as their owner here, and for ever in children of this process.

    For what closes descriptors when it is collected: a daemon has closed all of them, and a file
    of the application's may have got the number. Held already before a fork, so that no hook has
    to run in the child. The things must not refer to their owner.
    """
    _kept[weakref.ref(owner, _let_go)] = (home(), things)


def _let_go(owner: weakref.ref[Any], kept: dict[Any, Any] = _kept) -> None:
    found = kept.get(owner)
    if found is not None and found[0][0]:  # of this process; a child never lets go
        del kept[owner]


def _after_fork_in_child(_kept: object) -> None:
    for mark in list(_pid_marks):
        mark[0] = 0


def register_at_fork(
    *,
    before: Callable[[], object] | None = None,
    after_in_parent: Callable[[], object] | None = None,
    after_in_child: Callable[[], object] | None = None,
) -> None:
    """Run callbacks around ``os.fork`` where the platform has it; they cannot be taken back."""
    if not hasattr(os, "register_at_fork"):
        return
    if before is not None:
        os.register_at_fork(before=before)
    if after_in_parent is not None:
        os.register_at_fork(after_in_parent=after_in_parent)
    if after_in_child is not None:
        os.register_at_fork(after_in_child=after_in_child)


# The interpreter lets its callbacks go after all modules and files: a child that inherits a socket
# closes its number when no file of the application's can have it any more.
register_at_fork(after_in_child=functools.partial(_after_fork_in_child, _kept))
