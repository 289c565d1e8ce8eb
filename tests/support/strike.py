"""Raises as a signal handler would, at each place in turn where CPython runs one; for tests.

CPython looks for signals at three kinds of places: where a function of Python begins, after a call,
and at a jump back. Calls that block look themselves. From 3.11 on it does not look after a call of
a function that is written in Python. There the place is one more than real.

The exception has to come out of the call, not out of what follows it. Between a call and the
``__exit__`` of the block around it no exception can come. A profile function raises there, on every
Python. A trace function, which raises at the bytecode that follows, finds places that none reaches.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forklog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_PACKAGE = str(Path(forklog.__file__).parent)
_FOREIGN = str(Path(_PACKAGE, "testing")), str(Path(__file__).parents[1])
_BLOCKING = {"acquire", "sleep", "sched_yield"}  # these may be struck without having done a thing
_ROUNDS = 2  # of a loop
_HAS_SAFE_FINALLY = sys.version_info >= (3, 11)
_CALLERS = 1  # frames that make a place, the innermost first

Place = tuple[object, ...]


class Strike:
    """Make one call at a place where CPython looks for signals, while another call runs.

    Args:
        call: what to do there; it raises.
        is_place: called with each place; returns whether it is the one.
    """

    def __init__(self, call: Callable[[], object], is_place: Callable[[Place], bool]) -> None:
        """Strike nothing yet."""
        self._call = call
        self._is_place = is_place
        self._root: FrameType | None = None
        self._last: dict[FrameType, int] = {}
        self.name = ""

    def __call__(self, act: Callable[[], object]) -> str:
        """Run ``act``; return where it was struck, nothing if it was not."""
        before = sys.gettrace(), sys.getprofile()
        self._root = sys._getframe()
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        try:
            act()
        finally:
            sys.setprofile(before[1])
            sys.settrace(before[0])
            self._root = None
            self._last.clear()
        return self.name

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "return":
            if frame.f_back is not None:
                self._step(frame.f_back, frame.f_code.co_name)
        elif event == "call":
            self._step(frame, event)
        elif event != "c_call" or argument.__name__ in _BLOCKING:
            self._step(frame, argument.__name__)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if self.name:
            return None
        last = self._last.get(frame, -1)
        self._last[frame] = frame.f_lasti
        if event == "line" and frame.f_lasti < last:
            self._step(frame, "jump back")
        return self._trace

    def _step(self, frame: FrameType, event: str) -> None:
        place = self._place(frame, event) if not self.name else None
        if place is not None and self._is_place(place):
            name = Path(frame.f_code.co_filename).name
            self.name = f"{name}:{frame.f_lineno} {frame.f_code.co_name} {event}"
            self._call()

    def _place(self, frame: FrameType, event: str) -> Place | None:
        """Return the place with its callers; None where it is not forklog's, nor called by it."""
        place: list[object] = [event]
        walked: FrameType | None = frame
        is_ours = False
        while walked is not self._root:
            if walked is None:
                return None
            name = walked.f_code.co_filename
            if name.startswith(_FOREIGN) and is_ours:
                break  # what called forklog
            if name.startswith(_FOREIGN):
                return None
            is_ours = is_ours or name.startswith(_PACKAGE)
            if len(place) < 2 * _CALLERS:
                place += [walked.f_code, walked.f_lasti]
            walked = walked.f_back
        return tuple(place) if is_ours else None


def every_strike(
    act: Callable[[], object], call: Callable[[], object], prepare: Callable[[], object]
) -> Iterator[str]:
    """Run ``act`` again and again, struck once each time, at each place in turn.

    A place in a loop is struck in its first rounds alone. Yields where it was struck, after each
    run.

    Args:
        act: what is struck.
        call: what to do there; it raises.
        prepare: called before each run.
    """
    done: Counter[Place] = Counter()
    while True:
        seen: Counter[Place] = Counter()

        def is_next(place: Place, seen: Counter[Place] = seen) -> bool:
            seen[place] += 1
            if done[place] < seen[place] <= _ROUNDS:
                done[place] += 1
                return True
            return False

        prepare()
        name = Strike(call, is_next)(act)
        if not name:
            return
        yield name


class AlarmError(Exception):
    """What the handler of `every_alarm` raises."""


def every_alarm(act: Callable[[], object], times: int) -> Iterator[None]:
    """Run ``act`` again and again while a timer's handler raises; yield after each such exception.

    The signals are real and come at random points; no exception comes while the caller looks. One
    may follow another at once, but not on CPython 3.10. That looks for signals where it enters a
    ``finally`` with an exception, and a second one there skips the whole block.
    """
    is_on = False

    def strike(*_: object) -> None:
        nonlocal is_on
        if is_on:
            is_on = _HAS_SAFE_FINALLY
            raise AlarmError

    before = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        for _ in range(times):
            try:
                is_on = True
                while True:
                    act()
            except AlarmError:
                is_on = False
            yield
    finally:
        is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
