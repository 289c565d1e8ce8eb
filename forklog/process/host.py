"""`ThisProcess`: answers what delivery asks of the process, through the modules of this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from forklog.process import exit_hooks, fork_hooks, logging_lock
from forklog.process.base import Member
from forklog.process.deadlines import exit_deadline
from forklog.process.handover import HandoverToken
from forklog.process.servers import uwsgi
from forklog.process.signals import HeldBack
from forklog.process.thread import FlushThread

T = TypeVar("T")


class ThisProcess:
    """The real host. Holds nothing: every answer is of the calling process."""

    def may_run_threads(self) -> bool:
        """Tell whether Python threads run in this server."""
        return uwsgi.has_threads()

    def is_loader(self) -> bool:
        """Tell whether this process is one that uWSGI is going to fork."""
        return uwsgi.role() is uwsgi.Role.LOADER

    def new_thread(self) -> FlushThread:
        """Return a flush thread that was not started."""
        return FlushThread()

    def handover(self) -> HandoverToken:
        """Open a new hand-over."""
        return HandoverToken()

    def enlist(self, member: Member) -> None:
        """Register with the hooks of exits and forks."""
        exit_hooks.register(member)
        fork_hooks.register(member)

    def enlist_exit(self, member: Member) -> None:
        """Register with the hooks of exits."""
        exit_hooks.register(member)

    def after_request(self, member: Any) -> None:
        """Register with uWSGI's after-request hook."""
        uwsgi.after_request(member)

    def keep_hooks(self) -> None:
        """Put our hooks back in front."""
        exit_hooks.renew()

    def is_ending(self) -> bool:
        """Ask the deadline of the exit."""
        return exit_deadline().is_ending

    def is_past_hooks(self) -> bool:
        """Ask the deadline of the exit."""
        return exit_deadline().is_over

    def waiting(self, timeout: float, wait: Callable[[float], T]) -> T | None:
        """Wait to the deadline, and give back the lock of `logging` meanwhile."""
        return logging_lock.without(lambda: exit_hooks.with_own_deadline(timeout, wait))

    def flush_at_exit(self, members: Sequence[Member]) -> None:
        """See `exit_hooks.flush_at_exit`."""
        exit_hooks.flush_at_exit(members)

    def without_signals(self) -> HeldBack:
        """See `HeldBack`."""
        return HeldBack()
