"""How a process ends: hook every exit that this kind of process really runs, once in a process.

docs/process-models.md has the table of who runs what. Several hooks may fire in one exit; each
flushes what is pending then, all against one deadline that starts with the first.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from typing import Protocol

from forklog import frameworks, uwsgi
from forklog.fork import register_at_fork

__all__ = ["register", "renew"]


class _Leaver(Protocol):
    def at_exit(self) -> None: ...


_live: weakref.WeakSet[_Leaver] = weakref.WeakSet()
_is_hooked = [False]  # a forked child inherits the hooks together with this mark


def _leave() -> None:
    """Let every pipeline of this process flush; inherited ones know that they are not."""
    for leaver in list(_live):
        with contextlib.suppress(Exception):  # the interpreter is coming down
            leaver.at_exit()


def renew() -> None:
    """Put our hook back where an application has set its own `uwsgi.atexit` since. Never blocks."""
    uwsgi.chain_hook("atexit", _leave, again=True)


def register(leaver: _Leaver) -> None:
    """Have ``leaver.at_exit()`` called when this process ends. Never blocks, imports nothing."""
    _live.add(leaver)
    renew()
    frameworks.connect(_leave)
    if _is_hooked[0]:
        return
    _is_hooked[0] = True
    atexit.register(_leave)
    # Children of multiprocessing skip atexit, but they end the threading module. It is CPython's
    # own hook for concurrent.futures, present since 3.9.
    hook = getattr(threading, "_register_atexit", None)
    if hook is not None:
        with contextlib.suppress(RuntimeError):  # shutting down already
            hook(_leave)


register_at_fork(after_in_child=lambda: frameworks.connect_forked(_leave))
