"""Process exits that look like a thread's end to the kernel; used by exit_hooks.

A thread that has forked this process is the main one to the kernel. When its target returns, no
exit hook runs: the C library ends the process with its last thread. A flush thread that lives on
would keep the process alive for ever. Children of multiprocessing end the threading module alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable

from forklog.process.base import pid

FLUSH_THREAD = "forklog-flush-"
"""How the names of our threads begin."""


class Ended:
    """Whether the thread that forked this process has ended."""

    def __init__(self) -> None:
        """Know of none."""
        self.pid = -1

    def note(self) -> None:
        """Take note that it has ended, in the process that calls."""
        self.pid = pid()

    def __bool__(self) -> bool:
        """Tell whether it has, in this very process."""
        return self.pid == pid()


class _Last:
    """What a thread has in its local storage, so that it is called when the thread ends."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._pid = pid()

    def __del__(self) -> None:
        if self._pid == pid():  # else the thread has forked again, and this is the copy
            with contextlib.suppress(Exception):
                self._call()


# As they were at import: greenlets have idents and locals of their own, and end otherwise.
_get_ident, _local = threading.get_ident, threading.local()
_main = threading.main_thread().ident


def before_threads_end(call: Callable[[], object]) -> None:
    """Have ``call()`` run where the threading module ends, unless it has ended.

    Children of multiprocessing skip `atexit`, but they end that. It is CPython's own hook for
    concurrent.futures, present since 3.9.
    """
    hook = getattr(threading, "_register_atexit", None)
    if hook is None:
        return
    try:
        hook(call)
    except RecursionError:  # a RuntimeError as well; the next record is less deep
        raise
    except RuntimeError:  # shutting down already
        return


def watch(call: Callable[[], object]) -> None:
    """In a process forked just now: have ``call()`` run where the forking thread ends."""
    monkey = sys.modules.get("gevent.monkey")
    if _get_ident() == _main or (monkey is not None and monkey.is_module_patched("threading")):
        return
    _local.last = _Last(call)


def are_others_alive() -> bool:
    """Tell whether any thread lives that is neither the calling one nor ours."""
    own = _get_ident()
    return any(
        thread.ident != own and not thread.name.startswith(FLUSH_THREAD)
        for thread in threading.enumerate()
    )
