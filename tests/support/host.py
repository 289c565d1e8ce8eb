"""A fake host for a pipeline: plays uWSGI's loader, or a process without threads or hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forklog.clock import monotonic
from forklog.process.host import ThisProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forklog.process.base import Member


class FakeHost(ThisProcess):
    """The real process, but for the answers that a test sets, and for its hooks."""

    def __init__(self) -> None:
        """Be an ordinary process."""
        self.loads = False
        self.threads = True
        self.past_hooks = False
        self.seconds = 10.0
        self.members: list[Member] = []

    def may_run_threads(self) -> bool:
        """Answer as the test says."""
        return self.threads

    def is_loader(self) -> bool:
        """Answer as the test says."""
        return self.loads

    def is_past_hooks(self) -> bool:
        """Answer as the test says."""
        return self.past_hooks

    def enlist(self, member: Member) -> None:
        """Keep the pipeline, for `end`."""
        self.members.append(member)

    def enlist_exit(self, member: Member) -> None:
        """Keep the pipeline, for `end`."""
        self.members.append(member)

    def flush_at_exit(self, members: Sequence[Member]) -> None:
        """Do as `end`, for some pipelines; the real one would end the test's own process."""
        self._end(members, self.seconds)

    def fork(self, during: Callable[[], object] = lambda: None) -> None:
        """Play the hooks of a fork in the parent; ``during`` runs in between."""
        since, members = monotonic(), list(dict.fromkeys(self.members))
        for member in members:
            member.pause()
        for member in members:
            member.before_fork(since)
        during()
        wanted = [member for member in members if member.after_fork_in_parent()]
        for member in wanted:
            member.restart()

    def end(self, seconds: float) -> None:
        """Play the hook of an exit."""
        self._end(self.members, seconds)

    def _end(self, members: Sequence[Member], seconds: float) -> None:
        deadline = monotonic() + seconds
        for member in members:
            if member.begin_exit():
                member.end_exit(is_settled=member.await_exit(deadline))
