"""Reports what became of batches and of dropped entries, on stderr and to ``on_drop``.

Called with no lock held, since stderr and callbacks may be slow, and a callback may do anything.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from forklog.delivery.base import Reporter
from forklog.delivery.buffer import Buffer
from forklog.delivery.ledger import Ledger
from forklog.options import Options
from forklog.transports.base import Kind, Verdict

_HICCUPS = 2  # so many failures of one batch are no news


@dataclass(slots=True)
class Told:
    """What is told of one pass once no lock is held any more."""

    losses: list[tuple[str, list[bytes]]] = field(default_factory=list)
    aside: list[bytes] = field(default_factory=list)
    is_news: bool = True
    """Whether the attempt says something of the wire."""
    error: BaseException | None = None


class Losses:
    """Report what became of batches and of dropped entries. For whoever runs passes."""

    def __init__(self, options: Options, report: Reporter) -> None:
        """Say nothing yet."""
        self._on_drop = options.on_drop
        self._report = report
        self._is_trouble_said = False
        self.is_calling = False
        """``on_drop`` runs."""

    def of_pass(self, attempts: int, verdict: Verdict, told: Told, aside: int) -> None:
        """Say what became of a batch; ``aside`` entries are set aside by now."""
        why = verdict.answer or verdict.reason
        for reason, victims in told.losses:
            self.of_drop(reason, len(victims), victims, why)
        if told.aside:
            self.of_aside(aside, why)
        if told.is_news:
            self.of_attempt(attempts, verdict)

    def of_attempt(self, attempts: int, verdict: Verdict) -> None:
        """Say that nothing can be delivered, and, if that was said, that it can again."""
        if verdict.kind is Kind.BLOCKED:
            text = f"cannot deliver logs: {verdict.reason}"
            self._is_trouble_said |= self._report.say("blocked", text)
        elif verdict.kind is Kind.RETRY or verdict.again:
            if attempts > _HICCUPS:
                text = f"cannot deliver logs yet, retrying: {verdict.reason}"
                self._is_trouble_said |= self._report.say("retry", text)
        elif verdict.kind is Kind.DELIVERED and self._is_trouble_said:
            self._is_trouble_said = not self._report.say("again", "delivers logs again")

    def of_aside(self, number: int, why: str) -> None:
        """Say that entries are set aside, how many, and what the server answers to them."""
        text = f"the server refuses {number} log entries again and again while it takes others"
        self._report.say("aside", f"{text} ({why}); they are set aside and retried alone")

    def of_drop(
        self, reason: str, number: int, entries: Sequence[bytes] = (), why: str = ""
    ) -> None:
        """Say that entries were dropped, and hand them to the application."""
        self._report.drop(reason, number, why)
        if self._on_drop is None or not entries:
            return
        self.is_calling = True
        try:
            self._on_drop(list(entries), reason)
        except Exception as error:  # noqa: BLE001 - the application's callback, our thread
            self._report.say("on_drop", f"on_drop raised {type(error).__name__}")
        finally:
            self.is_calling = False


class Overflow:
    """The overflows of one pipeline. `keep` is for any thread; the rest for whoever runs passes."""

    def __init__(self, options: Options, buffer: Buffer, ledger: Ledger, losses: Losses) -> None:
        """Keep nothing yet."""
        self.told = 0
        """Entries that the buffer has shed and the ledger has booked."""
        self.told_unencoded = 0
        """Records that became no entry and that the ledger has booked."""
        self._max_bytes = options.max_buffer_bytes
        self._buffer = buffer
        self._ledger = ledger
        self._losses = losses
        self._entries: deque[bytes] = deque()
        self._bytes = 0

    def keep(self, entry: bytes) -> None:
        """Keep a shed entry for ``on_drop``; never blocks, takes no lock.

        There is as much room as in the buffer; what does not fit is counted all the same.
        """
        size = len(entry)
        if self._bytes < self._max_bytes:
            self._bytes += size  # one step, as in the buffer
            self._entries.append(entry)

    def tell(self) -> None:
        """Book, say and hand over what was shed since the last time."""
        with self._ledger.lock:
            total = self._buffer.shed.value()
            news, self.told = total - self.told, total
            self._ledger.drop("buffer_full", news)
            unencoded = self._buffer.unencoded - self.told_unencoded
            self.told_unencoded += unencoded
            self._ledger.drop("encode", unencoded, is_new=True)
        # A logging thread counts first and keeps the entry then: it may come without news.
        victims: list[bytes] = []
        with contextlib.suppress(IndexError):  # another thread may be here as well
            while True:
                victims.append(self._entries.popleft())
        size = sum(map(len, victims))
        self._bytes -= size
        if unencoded:
            self._losses.of_drop("encode", unencoded)
        if news or victims:
            self._losses.of_drop("buffer_full", news, victims)
