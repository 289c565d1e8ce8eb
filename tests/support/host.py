"""A process that plays a role: uWSGI's loader, one without threads, one whose hooks are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forklog.clock import monotonic
from forklog.process.host import ThisProcess

if TYPE_CHECKING:
    from forklog.process.base import Member


class FakeHost(ThisProcess):
    """The real process, but for the answers that a test sets, and for its hooks."""

    def __init__(self) -> None:
        """Be an ordinary process."""
        self.loads = False
        self.threads = True
        self.past_hooks = False
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

    def end(self, seconds: float) -> None:
        """Play the hook of an exit."""
        deadline = monotonic() + seconds
        for member in self.members:
            if member.begin_exit():
                member.end_exit(is_settled=member.await_exit(deadline))
