"""Sends what dead processes left: one batch at a time, beside the adopter's own entries.

Used by the flush thread, which asks when a pass is due. Endpoint, credentials and project are the
adopter's; log, labels and resource are the orphan's. An orphan that the server refuses waits, and
holds up no other one; an entry that it refuses alone is moved behind the others.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence

from forklog.clock import monotonic
from forklog.errors import is_of_forklog
from forklog.spool.folder import Folder
from forklog.spool.head import Fits
from forklog.spool.left.adoption import FIRST_RETRY, LONGEST_RETRY, Adoption, Sums, doubled
from forklog.spool.left.settling import envelope_of, settled_by
from forklog.spool.scan import scan
from forklog.transports.base import OTHER_PROJECT, Envelope, Kind, Verdict

_SCAN_SECONDS = 1.0  # at most between a pass and the next look at the folder
_MOST_CLAIMED = 64  # orphans at a time: each holds a descriptor, and others may take the rest
_MOST_WAITING = 256  # at most, where those before all wait for the server: one more with each look
_PART_OF_FILES = 8  # of the files that the process may open: at most one in so many
_FIRST_GAP, _LONGEST_GAP = 0.1, 1.0  # before another orphan's turn, after the server's refusal
# A daemon has closed all descriptors: the owner of the folder sees that, and begins anew.
_CLOSED = (errno.EBADF, errno.ENOTDIR)
_FOREIGN = "spool(s) of another project, endpoint or format"

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
        sums: what became of entries; an adopter before this one may have begun them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a spool gives
        self,
        folder: Folder,
        own_image: str,
        fits: Fits,
        max_entries: int,
        max_bytes: int,
        say: Callable[[str, str], object],
        sums: Sums,
    ) -> None:
        """Look at nothing yet; the first look is due at once."""
        self._folder, self._fits, self._say = folder, fits, say
        self._image = own_image
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._adoptions: deque[Adoption] = deque()  # whose turn it is, first
        self._ignored: set[str] = set()
        self._known: set[str] = set()
        self._last_scan = -_SCAN_SECONDS
        self._scan_at: float | None = 0.0
        self._retry_at, self._failures = 0.0, 0
        self._has_left_some = False
        self.sums = sums

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
        if self._adoptions:
            times.append(max(self._retry_at, min(one.retry_at for one in self._adoptions)))
        return max(0.0, min(times) - now) if times else None

    def pass_once(self, send: Send) -> int:
        """Look at the folder if that is due, and send one batch; return how many it delivered.

        Raises nothing but what a signal handler does.
        """
        now, adoption = monotonic(), None
        try:
            if self._scan_at is not None and self._scan_at <= now:
                self._look(now)
            adoption = self._due(now)
            return self._send_one(adoption, send) if adoption is not None else 0
        except BaseException as error:
            if not (isinstance(error, Exception) and is_of_forklog(error)):
                self._retry_at = monotonic() + FIRST_RETRY  # the wire may raise it each time
                raise
            if adoption is not None and adoption in self._adoptions:
                self._let_go(adoption)
            self._fail(error)
            return 0

    def _look(self, now: float) -> None:
        is_trailing = now - self._last_scan < 2 * _SCAN_SECONDS
        self._last_scan = now
        self._scan_at = None if is_trailing else now + _SCAN_SECONDS
        number = len(self._adoptions)
        room = max(int(number < _most_waiting()), _MOST_CLAIMED - number)
        found = scan(self._folder, self._image, self._ignored, self._fits, room)
        self._has_left_some = len(found.orphans) == room
        most = self._max_entries
        self._adoptions.extend(Adoption(orphan, most, most) for orphan in found.orphans)
        self._say_left("spool-foreign", _FOREIGN, found.foreign)
        self._say_left("spool-refused", "broken spool(s)", found.refused)
        if found.error is not None:
            self._fail(found.error)

    def _say_left(self, topic: str, what: str, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self._known]
        if new:
            self._known.update(new)
            text = f"left {len(new)} {what} in {self._folder.path}"
            self._say(topic, f"{text}; list them: forklog recover --dry-run {self._folder.path}")

    def _fail(self, error: Exception) -> None:
        """Report what went wrong here, once for each kind, and look again later."""
        number = getattr(error, "errno", None)
        if number in _CLOSED:
            self._scan_at = None
            return
        self._failures += 1
        wait = doubled(FIRST_RETRY, self._failures - 1, LONGEST_RETRY)
        self._scan_at = monotonic() + wait
        kind = f"{type(error).__name__} {number}"
        if kind not in self._known:
            self._known.add(kind)
            why = getattr(error, "strerror", None) or type(error).__name__
            text = f"cannot read the spool {self._folder.path}, retrying: {why}"
            self._say("spool-read", f"{text}; check its disk and the limit of open files")

    def _due(self, now: float) -> Adoption | None:
        """Return the next whose turn it is, which is the first by then."""
        for _ in range(len(self._adoptions)) if self._retry_at <= now else ():
            if self._adoptions[0].retry_at <= now:
                return self._adoptions[0]
            self._adoptions.rotate(-1)
        return None

    def _send_one(self, adoption: Adoption, send: Send) -> int:
        orphan = adoption.orphan
        if not orphan.is_intact():
            self._let_go(adoption)
            return 0
        batch = orphan.batch(adoption.limit, self._max_bytes)
        if not batch:
            self._finish(adoption)
            return 0
        verdict = send(batch, envelope_of(orphan.head))
        return self._settle(adoption, len(batch), verdict) if verdict is not None else 0

    def _settle(self, adoption: Adoption, number: int, verdict: Verdict) -> int:
        orphan = adoption.orphan
        if verdict.kind is Kind.HALVE and number > 1:
            adoption.halve(number)
            return 0
        if verdict.reason == OTHER_PROJECT:
            self._ignored.add(orphan.name.prefix)
            self._let_go(adoption)
            self._say_left("spool-foreign", _FOREIGN, [str(orphan.name)])
            return 0
        settled, refused = settled_by(verdict, number)
        if not settled:
            self._put_off(adoption, number, verdict)
            return 0
        self._failures = 0
        adoption.passed()
        orphan.settle(settled)
        self.sums.add(recovered=settled - refused, refused=refused)
        if not orphan.batch(1, 1):  # now: after the last pass of a process there is no other
            self._finish(adoption)
        return settled - refused

    def _put_off(self, adoption: Adoption, number: int, verdict: Verdict) -> None:
        """Have an orphan wait, and the others for less; soon, if the server has answered."""
        delay, before = verdict.delay or 0.0, adoption.postponed
        adoption.put_off(number, is_of_content=verdict.is_of_content, least=delay)
        adoption.orphan.unload()  # in an outage each of them comes here, with up to a MiB
        if adoption.postponed > before:
            why = (
                f"the server refuses an entry again and again ({verdict.answer or verdict.reason})"
            )
            where = f"the spool {self._folder.path}; the entries behind it are sent first"
            text = f"{why} that a dead process left in {where}"
            self._say("spool-aside", f"{text}; correct what logs it or what refuses it")
        first, longest = FIRST_RETRY, LONGEST_RETRY
        if verdict.answer:
            first, longest = _FIRST_GAP, _LONGEST_GAP
            self._look_for_more()  # in an outage none of them would be sent
        self._retry_at = monotonic() + max(delay, doubled(first, self._failures, longest))
        self._failures += 1
        self._adoptions.rotate(-1)

    def _finish(self, adoption: Adoption) -> None:
        orphan = adoption.orphan
        self.sums.add(torn=orphan.torn)
        if orphan.vanished:
            text = f"{len(orphan.vanished)} segment(s) of a dead process vanished from the spool"
            text = f"{text} {self._folder.path} before they were read"
            self._say("spool-vanished", f"{text}; exclude it from clean-up programs")
        if orphan.is_empty() and not orphan.refused:
            self._adoptions.remove(adoption)
            orphan.remove()
            self._look_for_more()
            return
        self._let_go(adoption)
        if orphan.error is not None:
            self._ignored.add(orphan.name.prefix)
            self._fail(orphan.error)

    def _look_for_more(self) -> None:
        """Have the folder looked at for what the last look has left: now if none is claimed."""
        if self._has_left_some and len(self._adoptions) < _most_waiting():
            at = self._last_scan + _SCAN_SECONDS if self._adoptions else monotonic()
            self._scan_at = at if self._scan_at is None else min(at, self._scan_at)

    def close(self) -> None:
        """Let go of all orphans: another process may go on where this one stopped."""
        while self._adoptions:
            self._let_go(self._adoptions[0])

    def _let_go(self, adoption: Adoption) -> None:
        self._adoptions.remove(adoption)
        adoption.orphan.close()


def _most_waiting() -> int:
    files = os.sysconf("SC_OPEN_MAX")  # the limit of this process; -1 where there is none
    return min(_MOST_WAITING, max(_MOST_CLAIMED, files // _PART_OF_FILES))
