"""Processes of one master that share what one of them learned: rules that forklog does not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.fleet.quota import Answer
from benchmarks.fleet.rules import Gap

if TYPE_CHECKING:
    from forklog.delivery.sending.gap import Pace

_SIZE = 8  # processes of one master
_Random = Callable[[], float]


class Sibling(Gap):
    """The gap, in a process that knows its siblings."""

    def __init__(self, random: _Random, group: list[Sibling]) -> None:
        """Have no gap; the group has this process once it is built."""
        super().__init__(random)
        self._group = group


class Half(Sibling):
    """A refusal raises the siblings' gaps to half of its own."""

    share = 0.5

    def refused(self, attempts: int, size: int, answer: Answer) -> float | None:
        """Raise the siblings' gaps, too; their next batches wait for them."""
        delay = super().refused(attempts, size, answer)
        if answer is not Answer.DOWN:
            least = self.share * self.pace.gap
            for one in self._group:
                one.pace = replace(one.pace, gap=max(one.pace.gap, least))
        return delay


class Whole(Half):
    """A refusal raises the siblings' gaps to its own."""

    share = 1.0


class OneGap(Sibling):
    """All siblings have one gap, which each answer to any of them changes."""

    def _learn(self, pace: Pace) -> None:
        for one in self._group:
            Gap._learn(one, pace)  # noqa: SLF001 - of the same class


class Groups:
    """Makes the senders of a fleet; eight that are made in a row are siblings."""

    def __init__(self, kind: Callable[[_Random, list[Sibling]], Sibling]) -> None:
        """Make senders of this kind."""
        self._kind = kind
        self._random: _Random | None = None
        self._group: list[Sibling] = []

    def __call__(self, random: _Random) -> Sibling:
        """Make the sender of one process; another run has another source of randomness."""
        if random != self._random or len(self._group) == _SIZE:
            self._random, self._group = random, []
        sender = self._kind(random, self._group)
        self._group.append(sender)
        return sender
