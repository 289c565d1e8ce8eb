"""Reports what became of batches and of dropped entries, on stderr and to ``on_drop``.

Called with no lock held, since stderr and callbacks may be slow, and a callback may do anything.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from forklog.delivery.base import Reporter, Sink, Store
from forklog.delivery.ledger import Booking, Ledger
from forklog.drops import BUFFER_FULL, ENCODE
from forklog.transports.base import Kind, Verdict

_HICCUPS = 2  # so many failures of one batch are not reported
_HICCUPS_OF_QUOTA = 9  # a fleet above its quota sees a few in a row all the time
_MOST_QUOTAS = 8  # that are named; a project has fewer


@dataclass(slots=True)
class PassReport:
    """What is reported of one pass once no lock is held any more."""

    losses: list[tuple[str, list[bytes]]] = field(default_factory=list)
    has_aside: bool = False
    """Whether entries were set aside."""
    is_of_wire: bool = True
    """Whether the attempt says something of the wire."""
    error: BaseException | None = None
    """What ends the thread that made the pass, once the outcome is booked."""

    def note_aside(self) -> None:
        """Take note that entries were set aside."""
        self.has_aside = True

    def note_suspect(self, *, is_suspect: bool) -> None:
        """Take note whether the batch may be to blame: then it says nothing of the wire."""
        self.is_of_wire = not is_suspect

    def note_error(self, error: BaseException | None) -> None:
        """Take note of what the attempt raised, for the thread that made it."""
        self.error = error


class Losses:
    """Report what became of batches and of dropped entries. For whoever runs passes."""

    def __init__(self, report: Reporter, on_drop: Sink, last_resort: str = "stderr") -> None:
        """Say nothing yet; the last resort is named as the option is."""
        self._file = last_resort if last_resort not in {"stderr", "none"} else ""
        self._on_drop = on_drop
        self._report = report
        self._is_trouble_said = False
        self._quotas: set[str] = set()

    def of_pass(self, attempts: int, verdict: Verdict, seen: PassReport, aside: int) -> None:
        """Say what became of a batch; ``aside`` entries are set aside by now."""
        why = verdict.answer or verdict.reason
        for reason, victims in seen.losses:
            self.of_drop(reason, len(victims), victims, why)
        if seen.has_aside:
            self.of_aside(aside, why)
        self.of_quota(verdict)
        if seen.is_of_wire:
            self.of_attempt(attempts, verdict)

    def of_quota(self, verdict: Verdict) -> None:
        """Say which quota delays the logs, once for each: that it refuses some is its normal work.

        The gap makes refusals rare soon, while the logs stay late.
        """
        quotas = self._quotas
        if (quota := verdict.quota) and quota.name not in quotas and len(quotas) < _MOST_QUOTAS:
            self._report.say(f"quota:{quota.name}", f"a quota delays the logs: {verdict.reason}")
            quotas.add(quota.name)

    def of_attempt(self, attempts: int, verdict: Verdict) -> None:
        """Say that nothing can be delivered, and, if that was reported, that it can again."""
        if verdict.kind is Kind.BLOCKED:
            text = f"cannot deliver logs: {verdict.reason}"
            self._is_trouble_said |= self._report.say("blocked", text)
        elif verdict.kind is Kind.RETRY or verdict.again:
            if attempts > (_HICCUPS_OF_QUOTA if verdict.quota else _HICCUPS):
                text = f"cannot deliver logs yet, retrying: {verdict.reason}"
                self._is_trouble_said |= self._report.say("retry", text)
        elif verdict.kind is Kind.DELIVERED and self._is_trouble_said:
            self._is_trouble_said = not self._report.say("again", "log delivery works again")

    def of_aside(self, number: int, why: str) -> None:
        """Say that entries are set aside, how many, and what the server answers to them."""
        text = f"the server refuses {number} log entries again and again while it takes others"
        text = f"{text} ({why}); they are set aside and retried alone"
        self._report.say("aside", f"{text}, correct what logs them or what refuses them")

    def of_given_up(
        self, reason: str, entries: Sequence[bytes], written: Mapping[str, int]
    ) -> None:
        """Say where entries are that nothing delivers, and give them to the application."""
        for place, number in written.items():
            where = f"the last resort's file {self._file}" if place == "file" else place
            text = f"wrote {number} undelivered log entries to {where} ({reason})"
            text = f"{text}; send the lines by: forklog recover {self._file or 'FILE'}"
            self._report.say(f"diverted:{place}:{reason}", text)
        self.of_drop(reason, len(entries) - sum(written.values()), entries)

    def of_drop(
        self, reason: str, number: int, entries: Sequence[bytes] = (), why: str = ""
    ) -> None:
        """Say that entries were dropped, and hand them to the application."""
        self._report.drop(reason, number, why)
        self._on_drop.write(entries, reason)


class Overflow:
    """The overflows of one pipeline. `keep` is for any thread; the rest for whoever runs passes."""

    def __init__(self, max_bytes: int, buffer: Store, ledger: Ledger, losses: Losses) -> None:
        """Keep nothing yet."""
        self._max_bytes = max_bytes
        self._buffer = buffer
        self._ledger = ledger
        self._losses = losses
        self._entries: deque[bytes] = deque()
        self._kept_bytes = self._reported_bytes = 0  # each changes in one step, as in the buffer

    def keep(self, entry: bytes) -> None:
        """Keep an entry that an overflow dropped, for ``on_drop``; never blocks, takes no lock.

        There is as much room as in the buffer; what does not fit is counted all the same.
        """
        size = len(entry)
        if self._kept_bytes - self._reported_bytes < self._max_bytes:
            self._kept_bytes += size
            self._entries.append(entry)

    def settle_held(self, lost: int, rescued: Sequence[bytes]) -> None:
        """Book and say what became of held entries that an overflow has taken from memory.

        Args:
            lost: of an ancestor's, for which no other process accounts.
            rescued: of this process's own, which its spool has.
        """
        if rescued:
            self._ledger.book_rescued(self._buffer, len(rescued))
            self._keep_no_more(frozenset(rescued))
        if lost:
            self._ledger.book(Booking(dropped={BUFFER_FULL: lost}))
            self._losses.of_drop(BUFFER_FULL, lost)

    def _keep_no_more(self, rescued: Collection[bytes]) -> None:
        with contextlib.suppress(IndexError):  # another thread may be in `report`
            for _ in range(len(self._entries)):
                entry = self._entries.popleft()
                size = len(entry)
                if entry in rescued:
                    self._reported_bytes += size
                else:
                    self._entries.append(entry)

    def report(self) -> None:
        """Book, say and hand over what overflows dropped since the last time."""
        dropped, unencoded = self._ledger.book_overflow(self._buffer)
        # A logging thread counts first and keeps the entry then: it may come with no count.
        victims: list[bytes] = []
        with contextlib.suppress(IndexError):  # another thread may be here as well
            while True:
                victims.append(self._entries.popleft())
        size = sum(map(len, victims))
        self._reported_bytes += size
        if unencoded:
            self._losses.of_drop(ENCODE, unencoded)
        if dropped or victims:
            self._losses.of_drop(BUFFER_FULL, dropped, victims)
