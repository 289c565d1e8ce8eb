"""Sends what dead processes left: one batch at a time, beside the adopter's own entries.

Used by the flush thread, which asks when a pass is due. Endpoint, credentials and project are the
adopter's; log, labels and resource are the orphan's.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence

from forklog.clock import monotonic
from forklog.spool.folder import Folder
from forklog.spool.format import Head
from forklog.spool.orphan import Orphan
from forklog.spool.scan import Fits, scan
from forklog.transports.base import OTHER_PROJECT, Envelope, Kind, Verdict

_SCAN_SECONDS = 1.0  # at most between a pass and the next look at the folder
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 30.0  # seconds after a failure; own entries do not wait for it

Send = Callable[[Sequence[bytes], Envelope], Verdict | None]
"""Sends entries; None where the wire is in use."""


class Adopter:
    """Adopt orphans for one pipeline. For one thread at a time, but for `is_due`.

    Args:
        folder: where they are.
        own_image: heads of this process image are never opened.
        fits: which of them are the adopter's kind.
        max_entries, max_bytes: bounds of a request.
        say: reports a line: a topic and a text.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a spool gives
        self,
        folder: Folder,
        own_image: str,
        fits: Fits,
        max_entries: int,
        max_bytes: int,
        say: Callable[[str, str], object],
    ) -> None:
        """Look at nothing yet; the first look is due at once."""
        self._folder, self._fits, self._say = folder, fits, say
        self._image = own_image
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._limit = max_entries
        self._orphans: deque[Orphan] = deque()
        self._claimed: set[tuple[int, int]] = set()
        self._foreign: set[tuple[int, int]] = set()
        self._known: set[str] = set()
        self._last_scan = -_SCAN_SECONDS
        self._scan_at: float | None = 0.0
        self._retry_at, self._waits = 0.0, _new_waits()
        self.recovered = 0
        """Entries of dead processes that were delivered."""
        self.refused = 0
        """Entries of dead processes that the server will never take."""
        self.torn = 0
        """Pieces of entries that a kill has cut off."""

    def learn(self, project: str) -> None:
        """Adopt what is of this project alone, which was found by the connection."""
        self._fits.learn(project)

    def after_pass(self) -> None:
        """Have the folder looked at: now if the last look is old, and once more in a second."""
        now = monotonic()
        is_old = now - self._last_scan >= _SCAN_SECONDS
        self._scan_at = now if is_old else now + _SCAN_SECONDS

    def seconds(self) -> float | None:
        """Return the seconds until a pass is due, None if none is."""
        now = monotonic()
        times = [self._scan_at] if self._scan_at is not None else []
        if self._orphans:
            times.append(self._retry_at)
        return max(0.0, min(times) - now) if times else None

    def pass_once(self, send: Send) -> int:
        """Look at the folder if that is due, and send one batch; return how many it delivered."""
        now = monotonic()
        if self._scan_at is not None and self._scan_at <= now:
            self._look(now)
        if not self._orphans or self._retry_at > now:
            return 0
        orphan = self._orphans[0]
        batch = orphan.batch(self._limit, self._max_bytes)
        if not batch:
            self._finish(orphan)
            return 0
        verdict = send(batch, envelope_of(orphan.head))
        return self._settle(orphan, batch, verdict) if verdict is not None else 0

    def _look(self, now: float) -> None:
        is_trailing = now - self._last_scan < 2 * _SCAN_SECONDS
        self._last_scan = now
        self._scan_at = None if is_trailing else now + _SCAN_SECONDS
        found = scan(self._folder, self._image, self._claimed | self._foreign, self._fits)
        for orphan in found.orphans:
            self._claimed.add(orphan.identity)
            self._orphans.append(orphan)
        self._say_left("spool-foreign", "of another project, endpoint or format", found.foreign)
        self._say_left("spool-refused", "broken", found.refused)

    def _say_left(self, topic: str, what: str, names: Sequence[str]) -> None:
        news = [name for name in names if name not in self._known]
        if news:
            self._known.update(news)
            self._say(topic, f"{len(news)} {what} in the spool {self._folder.path} stay there")

    def _settle(self, orphan: Orphan, batch: list[bytes], verdict: Verdict) -> int:
        if verdict.kind is Kind.HALVE and len(batch) > 1:
            self._limit = len(batch) // 2
            return 0
        if verdict.reason == OTHER_PROJECT:
            self._foreign.add(orphan.identity)
            self._let_go(orphan)
            text = "of another project, endpoint or format"
            self._say_left("spool-foreign", text, [str(orphan.name)])
            return 0
        settled, refused = settled_by(verdict, len(batch))
        if not settled:
            self._retry_at = monotonic() + max(verdict.delay or 0.0, next(self._waits))
            return 0
        self._waits, self._limit = _new_waits(), self._max_entries
        orphan.settle(settled)
        self.recovered += settled - refused
        self.refused += refused
        if not orphan.batch(1, 1):  # now: after the last pass of a process there is no other
            self._finish(orphan)
        return settled - refused

    def _finish(self, orphan: Orphan) -> None:
        self._orphans.popleft()
        self._claimed.discard(orphan.identity)
        self.torn += orphan.torn
        if orphan.is_empty() and not orphan.refused:
            orphan.remove()
        else:
            orphan.close()

    def close(self) -> None:
        """Let go of all orphans: another process may go on where this one stopped."""
        while self._orphans:
            self._let_go(self._orphans[0])

    def _let_go(self, orphan: Orphan) -> None:
        self._orphans.remove(orphan)
        self._claimed.discard(orphan.identity)
        orphan.close()


def settled_by(verdict: Verdict, number: int) -> tuple[int, int]:
    """Return how many entries at the head of a batch are settled, and how many of them refused.

    Args:
        verdict: of a batch; one that is to be halved has one entry.
        number: of its entries.
    """
    if verdict.kind in (Kind.RETRY, Kind.BLOCKED):
        return 0, 0
    if verdict.kind is Kind.HALVE:
        return 1, 1
    settled = min(verdict.again, default=number)  # what follows is sent once more, and shown once
    return settled, sum(index < settled for index in verdict.refused)


def envelope_of(head: Head) -> Envelope:
    """Return log, labels and resource of a dead process's entries."""
    return Envelope(head.log_name, head.labels, head.resource, head.project)


def _new_waits() -> itertools.chain[float]:
    doubling = itertools.takewhile(
        lambda wait: wait < _LONGEST_RETRY,
        (_FIRST_RETRY * 2**n for n in itertools.count()),
    )
    return itertools.chain(doubling, itertools.repeat(_LONGEST_RETRY))
