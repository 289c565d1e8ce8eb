"""How a process forks where Python's hooks run: flush threads come to rest first.

From Python 3.12 on ``os.fork`` warns when another thread lives, and rightly: the child inherits the
locks that it holds. A resting thread has ended; the next record (or a pending one) starts another.
Before 3.12 nothing is done, since nothing warns and the child never touches what it inherits.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

from forklog.fork import register_at_fork

__all__ = ["register"]


class _Forker(Protocol):
    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...


_live: weakref.WeakSet[_Forker] = weakref.WeakSet()


def register(forker: _Forker) -> None:
    """Have ``forker`` told before and after each ``os.fork`` of this process."""
    _live.add(forker)


def _each(call: Callable[[_Forker], None]) -> None:
    for forker in list(_live):
        with contextlib.suppress(Exception):  # it would be printed to the application's stderr
            call(forker)


if sys.version_info >= (3, 12):
    register_at_fork(
        before=lambda: _each(lambda forker: forker.before_fork()),
        after_in_parent=lambda: _each(lambda forker: forker.after_fork_in_parent()),
    )
