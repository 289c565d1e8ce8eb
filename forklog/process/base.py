"""What every room may ask of the process, and the seam to what the system does with it."""

from __future__ import annotations

import functools
import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from forklog.turn import EndEvent, Turn
T = TypeVar("T")
fork_waits: list[Callable[[float], object]] = []  # before os.fork, with the time when it began
usual_mask: list[Callable[..., Any]] = [lambda call: call]  # first: `signals.with_usual_mask`
_MADV_WIPEONFORK = 18  # linux/mman-common.h; the mmap module does not name it


class Mark(Protocol):
    """Truth at index 0 in the process that made it, and only until it is revoked."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


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


_homes: list[Mark] = []
_kept: dict[weakref.ref[Any], tuple[Mark, tuple[object, ...]]] = {}


def home() -> Mark:
    """Return a mark of this process, always the same: true here, false in all its children."""
    if not _homes or not _homes[-1][0]:
        _homes.append(new_mark())
    return _homes[-1]


def keep_in_children(owner: object, *things: object) -> None:
    """Have ``things`` live as long as their owner here, and for ever in children of this process.

    For what closes descriptors when it is collected. A daemon has closed all of them, and a file of
    the application's may have got the number. Held already before a fork, so that no hook has to
    run in the child. The things must not refer to their owner.
    """
    _kept[weakref.ref(owner, _let_go)] = (home(), things)


def _let_go(owner: weakref.ref[Any], kept: dict[Any, Any] = _kept) -> None:
    found = kept.get(owner)
    if found is not None and found[0][0]:  # of this process; a child never lets go
        del kept[owner]


def _after_fork_in_child(_kept: object) -> None:
    try:
        for mark in list(_pid_marks):
            mark[0] = 0
    except RecursionError:
        return  # a mark asks for the PID itself


def register_at_fork(
    *,
    before: Callable[[], object] | None = None,
    after_in_parent: Callable[[], object] | None = None,
    after_in_child: Callable[[], object] | None = None,
) -> None:
    """Run callbacks around ``os.fork``, if there is one; each catches RecursionError itself."""
    if not hasattr(os, "register_at_fork"):
        return
    given = {"before": before, "after_in_parent": after_in_parent, "after_in_child": after_in_child}
    os.register_at_fork(**{name: hook for name, hook in given.items() if hook is not None})


# The interpreter lets its callbacks go after all modules and files. So a child that inherits a
# socket closes its number when no file of the application's can have it any more.
register_at_fork(after_in_child=functools.partial(_after_fork_in_child, _kept))


class Member(Protocol):
    """A pipeline, as the process sees it: the hooks call it at forks and at the end."""

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that an exit may take for it."""

    @property
    def is_inline(self) -> bool:
        """Tell whether the logging threads send."""

    def hurry(self) -> None:
        """Have the thread send now what was logged so far. Never blocks."""

    def begin_exit(self) -> bool:
        """Drain; tell whether it belongs to this process and has anything to drain."""

    def await_exit(self, deadline: float) -> bool:
        """Wait until everything is settled; tell whether it is."""

    def end_exit(self, *, is_settled: bool, is_end: bool = True) -> None:
        """Give up what is not settled; go on as before if it is no end."""

    def retire(self) -> bool:
        """Have the logging threads send from now on; tell whether the thread ends."""

    def stop_when_idle(self) -> None:
        """Let the thread end once everything is settled."""

    def pause(self) -> None:
        """Have the thread end between two passes, before a fork. Never blocks."""

    def before_fork(self, since: float | None = None) -> None:
        """Wait for the end of the thread, a bounded time from ``since`` on."""

    def after_fork_in_parent(self) -> bool:
        """Let the thread run again; tell whether it is wanted at once."""

    def restart(self) -> None:
        """Start the thread again, if it is wanted."""

    def end_in_child(self) -> None:
        """End the copy of a thread that a fork has copied, as it does greenlets."""


class FlushThread(Protocol):
    """The flush thread of one pipeline, one after another; never two at a time."""

    @property
    def runner(self) -> Turn:
        """Taken while the thread runs."""

    @property
    def ended(self) -> EndEvent:
        """Set while there is no thread."""

    def is_up(self) -> bool:
        """Tell whether the thread runs, or was started just now and will run."""

    def start(
        self,
        name: str,
        run: Callable[[Callable[[], object]], object],
        on_failure: Callable[[], object],
    ) -> None:
        """Start the thread without waiting for it, from any context; RuntimeError if it cannot."""

    def await_ended(self, deadline: float, is_hopeless: Callable[[], bool]) -> None:
        """Wait for a thread that was ordered to end, to a deadline, or until it is hopeless."""

    def await_gone(self, is_busy: Callable[[], bool], since: float | None = None) -> None:
        """Wait for a thread that was ordered to end, until the kernel counts it no more."""

    def end_in_child(self) -> None:
        """In a process forked just now: end the copy of the thread, if it is a greenlet."""


class HandoverToken(Protocol):
    """The hand-over of one holding process: which descendant takes which held entries."""

    def offer(self, low: int, high: int) -> None:
        """Offer the entries with sequence numbers from ``low`` up to, without, ``high``."""

    def claim(self, end: int, into: list[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
        """Take all that is offered below ``end``, as half-open ranges; add them to ``into``."""

    def close(self) -> None:
        """Close this process's ends."""


class Host(Protocol):
    """What delivery asks of the process it runs in. No call raises, and only two of them wait."""

    def may_run_threads(self) -> bool:
        """Tell whether Python threads run in this server."""

    def is_loader(self) -> bool:
        """Tell whether this process will fork workers from C, so that it must run no thread."""

    def new_thread(self) -> FlushThread:
        """Return a flush thread that was not started."""

    def handover(self) -> HandoverToken:
        """Return a new hand-over, which all descendants of this process inherit."""

    def enlist(self, member: Member) -> None:
        """Have a pipeline called at forks and at the end of this process."""

    def enlist_exit(self, member: Member) -> None:
        """Have a pipeline called at the end of this process alone."""

    def after_request(self, member: Any) -> None:
        """Have ``member.flush_request()`` called after each request, where threads are off."""

    def keep_hooks(self) -> None:
        """Put hooks back where an application has set its own meanwhile."""

    def is_ending(self) -> bool:
        """Tell whether a hook has run after which the process does not live on for long."""

    def is_past_hooks(self) -> bool:
        """Tell whether no further hook will run: what is logged now has to be sent now."""

    def waiting(self, timeout: float, wait: Callable[[float], T]) -> T | None:
        """Return ``wait(deadline)`` of a ``flush`` or ``close``; None if it raises at an exit."""

    def flush_at_exit(self, members: Sequence[Member]) -> None:
        """Have pipelines deliver what is pending, within the deadline of the exit. Waits."""

    def without_signals(self) -> AbstractContextManager[None]:
        """Hold back the application's signal handlers for the time of a block."""
