"""The spool of one pipeline: opens the folder, puts the store before the buffer, adopts orphans.

The handler makes it; delivery knows it as `forklog.delivery.base.Spooler`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from forklog.clock import monotonic
from forklog.delivery.base import Reporter, SendOther
from forklog.errors import OptionError
from forklog.options import Options
from forklog.severity import rank_of_threshold
from forklog.spool.folder import PASSING, FullError, UnfitError
from forklog.spool.held import Held
from forklog.spool.left.adopting import Adopting
from forklog.spool.left.adoption import Sums
from forklog.spool.left.former import Former
from forklog.spool.lines import say_left, say_lost, say_off, say_waiting
from forklog.spool.parts.image import new_prefix
from forklog.spool.parts.lanes import Lanes
from forklog.spool.store import Spool
from forklog.turn import TURN, Turn, alone

if TYPE_CHECKING:
    from forklog.spool.making import Making
    from forklog.spool.owner import Owner
    from forklog.transports.base import Origin

_CHECK_SECONDS = 1.0  # at most, between two looks at the head
_OPEN_SECONDS, _OPEN_POLL = 5.0, 0.0005  # for another thread to make the files
_RETRY_SECONDS = 1.0  # at most between two tries where the system lacks something just now
_CLOSED = "closed"


class ProcessSpool:
    """The spool of one process and handler; see `forklog.delivery.base.Spooler`.

    Args:
        options: those of the handler, with a spool.
        make: makes the parts.
        lanes: the buffer.
        on_wake: wakes the flush thread.
        report: takes lines for people.
        prefix: returns what begins all insertIds of this process.
        may_open: tells whether this process is one that spools.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a pipeline gives
        self,
        options: Options,
        make: Making,
        lanes: Lanes,
        on_wake: Callable[[], object],
        report: Reporter,
        prefix: Callable[[], str],
        may_open: Callable[[], bool],
    ) -> None:
        """Open nothing."""
        self._make, self._report = make, report
        rank = rank_of_threshold(options.flush_level)
        self.store = Spool(lanes, rank, options.spool_max_bytes, on_wake, self.open)
        self.held = Held(lambda: self._make.owner(new_prefix()), options.spool_max_bytes, report)
        self._prefix, self._may_open = prefix, may_open
        self._opening: dict[int, tuple[int]] = {}  # a turn, by whose thread
        self._why_off, self._is_tried, self._is_opened = "no record yet", False, False
        self._open_at, self._is_late = 0.0, False
        self._owner: Owner | None = None
        self._checking = Turn()  # of whoever looks after head and segments
        self._origin: Origin | None = None
        self._sums, self._checked_at, self._reported = Sums(), 0.0, 0
        self._adopting = Adopting(self._sums)
        self._former = Former(self._adopting.let_go)
        self.has_orphans = make.has_orphans  # opens no spool
        self.seconds = self._adopting.seconds

    def open(self) -> bool:
        """Spool from now on, or report why not; once. Returns whether entries are spooled.

        Called by every offer until then. Waits for another thread that opens it, so that no entry
        whose log call has returned is in memory alone. But a signal handler's does not wait for the
        call that it has interrupted. Tries again where the system lacks something for now.
        """
        taker = (threading.get_ident(),)
        if self._is_opened or self._opening.get(TURN) == taker or not self._may_open():
            return self.store.is_open
        now = monotonic()
        if now < self._open_at:
            return False
        deadline = now + _OPEN_SECONDS
        try:
            while self._opening.setdefault(TURN, taker) is not taker:
                if monotonic() > deadline:
                    return False
                time.sleep(_OPEN_POLL)
            if not self._is_opened:
                # It is open if a signal handler struck below, earlier.
                if not self.store.is_open and not self._open():
                    return False
                self._is_late = self._open_at > 0
                if not self._is_late:  # else the flush thread may take the same entries just now
                    self.store.take_in()  # what finalizers and signal handlers logged meanwhile
                self._is_opened = True
        finally:
            if TURN in self._opening and self._opening[TURN] is taker:
                del self._opening[TURN]
            # Closed meanwhile, by another thread or by a signal handler of this one.
            if self._why_off == _CLOSED and (self._owner is not None or self.store.is_open):
                self.leave()
        return self.store.is_open

    def _open(self) -> bool:
        """Open it, or report why not; tell whether that is settled."""
        if monotonic() < self._open_at:  # another thread has just tried
            return False
        self.store.expect(is_awaited=True)
        is_again, self._is_tried = self._is_tried, True
        try:
            owner = self._owner = self._make.owner(self._prefix(), is_again=is_again)
            self._adopting.replace(self._make.adopter(owner, self._report, self._sums))
            self.store.open(owner)
        except FullError as error:  # what dead processes left, maybe: it is adopted all the same
            say_waiting(self._report, error)
        except (UnfitError, OSError, OptionError) as error:
            made, self._owner = self._owner, None
            self._adopting.give_up(made.folder if made is not None else None)
            if isinstance(error, OSError) and error.errno in PASSING:
                self._is_tried, self._open_at = is_again, monotonic() + _RETRY_SECONDS
                self._why_off = f"not yet: {error.strerror}"
                say_waiting(self._report, error)
                return False
            self.store.expect(is_awaited=False)
            self._why_off = say_off(self._report, error)
        return True

    def take_in(self, new: Collection[bytes] = ()) -> None:
        """Open it, and spool what waits in memory; before the flush thread runs."""
        if self.open():
            self.store.take_in(new)

    def is_adopting(self) -> bool:
        """Tell whether a thread looks at the folder, or sends what is in it."""
        return self._adopting.is_under_way()

    def after_pass(self, origin: Origin | None) -> None:
        """Look after the spool, and have the folder looked at."""
        if origin is not None and origin != self._origin:
            self._learn(origin)
        self.check()
        if (adopter := self._adopting.adopter) is not None:
            adopter.after_pass()

    def check(self) -> None:
        """Look after the head, at most once a second, and after the segments."""
        alone(self._checking, self._check)

    def _check(self) -> None:
        if self._open_at > 0 and self.open() and self._is_late:
            self._is_late = False
            self.store.take_in()
        now, owner = monotonic(), self._owner
        is_due = now - self._checked_at >= _CHECK_SECONDS
        if owner is not None and (owner.was_denied() or is_due):
            self._checked_at = now
            if self.store.is_open and not self.store.is_found():
                self._restart(owner)
            elif self._former.has_any() and self.store.rescue():
                self._former.end(is_copied=True)
        self.store.tidy()

    def _learn(self, origin: Origin) -> None:
        """Write down what the connection has found out: an adopter sends by the head."""
        self._origin = origin
        if self._owner is not None:
            with contextlib.suppress(OSError, OptionError):  # full: an adopter finds it out anew
                self._owner.renew(self._make.head(origin))
        if (adopter := self._adopting.adopter) is not None:
            adopter.learn(origin.project)

    def _restart(self, before: Owner) -> None:
        """Begin a new head: a tidier, a daemon, another process or user has lost us the old one."""
        if before.folder.is_own() and not self.store.is_paused:
            say_lost(self._report, before.folder.path)
        try:
            owner = self._make.owner(new_prefix(), self._origin)
            is_rescued = self.store.restart(owner)
        except (UnfitError, OptionError) as error:
            self._owner = None
            self._adopting.folders.append(before.folder)
            self.store.stop()
            self._why_off = say_off(self._report, before.folder.why_lost(error))
            return
        except OSError as error:  # tried again at the next look
            self.store.pause()
            say_waiting(self._report, error)
            return
        self._owner = owner
        self._former.add(before)
        adopter = self._make.adopter(owner, self._report, self._sums, self._origin)
        self._adopting.replace(adopter)
        if is_rescued:
            self._former.end(is_copied=True)

    def adopt(self, send: SendOther) -> Mapping[str, int]:
        """Look at the folder, or send one batch of an orphan; nothing where another thread does."""
        return self._adopting.once(send)

    def report_left(self) -> None:
        """Report, once for each number, how many entries wait for another process."""
        left = self.store.count_spooled()
        if left and left != self._reported and self._owner is not None:
            self._reported = left
            say_left(self._report, left, self._owner.folder.path)

    def leave(self) -> None:
        """Stop spooling; what is left waits for another process."""
        self.report_left()
        self._why_off = _CLOSED
        self._is_opened = self._is_opened or self._open_at > 0  # no later call opens it
        self.store.expect(is_awaited=False)
        if self._opening.get(TURN, own := (threading.get_ident(),)) != own:
            return  # the thread that opens it leaves as soon as it has done so
        owner, self._owner = self._owner, None
        left = self.store.leave()
        self._former.end(is_copied=not left)
        if owner is not None:
            self._adopting.let_go(owner.folder)
        self._adopting.end()

    def numbers(self) -> Mapping[str, Any]:
        """Return the fields of `Stats` that are the spool's."""
        store, sums, owner = self.store, self._sums, self._owner or self.held.owner
        off = f"off: {self.held.why_off or self._why_off}"
        return {
            "spool": owner.folder.path if owner is not None else off,
            "spooled_bytes": store.spooled_bytes,
            "unspooled": store.unspooled + self.held.unspooled,
            "inline_segments": store.inline_segments,
            "recovered": sums.recovered,
            "torn": sums.torn,
        }
