"""Deadlines shared by several waits: of the process's end, of one logging.shutdown; for exit_hooks.

A shared deadline begins with the first wait. Once it is over, later waits have a short time left in
all. So neither many handlers nor late records can hold up what waits for them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from forklog.clock import monotonic
from forklog.process.base import pid, register_at_fork

_LATE_SECONDS = 0.25  # for one wait after the deadline
_LATE_SECONDS_IN_ALL = 0.5
_SAME_CALL_SECONDS = 1.0  # waits that follow each other so closely belong together
_DEEPEST = 16  # frames between such a loop and here, with those of subclasses
_LOOPS = (logging.shutdown.__code__, logging.basicConfig.__code__)


class SharedDeadline:
    """When waits that belong together have to be done."""

    def __init__(self) -> None:
        """Begin with the first wait."""
        self._began = self._ended = -_SAME_CALL_SECONDS - 1.0  # long ago
        self._late = 0.0
        self._is_cut = False
        self.is_shared = False

    @contextlib.contextmanager
    def wait(self, timeout: float) -> Iterator[float]:
        """Give the deadline for one wait, and account for the time that it takes after it.

        Args:
            timeout: seconds from the beginning of the first wait.
        """
        now = monotonic()
        late = min(max(self._late, 0.0), _LATE_SECONDS)
        if self._is_new(now):
            self._began, self._late, late = now, _LATE_SECONDS_IN_ALL, 0.0
        until = max(self._began + timeout, now)
        try:
            yield now if self._is_cut else max(until, now + late)
        finally:
            self._ended = monotonic()
            self._late -= max(0.0, self._ended - until)

    def _is_new(self, now: float) -> bool:
        return now > self._ended + _SAME_CALL_SECONDS

    def follows(self) -> bool:
        """Tell whether a wait that begins now belongs to earlier ones."""
        return not self._is_new(monotonic())


class ExitDeadline(SharedDeadline):
    """When the hooks of one process have to be done."""

    def __init__(self) -> None:
        """Know of no exit yet."""
        super().__init__()
        self.pid = pid()
        self.is_ending = False
        """A hook has run after which the process does not live on for long."""
        self.is_over = False
        """No further hook of ours will run: what is logged now has to be sent now."""

    def _is_new(self, now: float) -> bool:
        return self._began < 0 or (not self.is_ending and super()._is_new(now))

    def note_ending(self) -> None:
        """Take note that the process ends; after an earlier hook it may have lived on."""
        if not self.is_ending and self._is_new(monotonic()):
            self._began = -1.0
        self.is_ending = True

    def note_over(self) -> None:
        """Take note that no further hook of ours will run."""
        self.is_over = True

    def cut(self) -> None:
        """Be over now, as the user asked to end at once."""
        self._is_cut = True

    def go_on(self) -> None:
        """Take note that the process may live on after a hook."""
        self._is_cut = False


_of_process = [ExitDeadline()]


def exit_deadline() -> ExitDeadline:
    """Return the deadline of this very process; that of a parent which ends is not the child's."""
    known = _of_process[0]
    if known.pid != pid():
        known = _of_process[0] = ExitDeadline()
    return known


def _renew() -> None:
    try:
        _of_process[0] = ExitDeadline()
    except RecursionError:
        return  # `exit_deadline` looks at the PID


register_at_fork(after_in_child=_renew)

_of_call: dict[tuple[int, int], SharedDeadline] = {}


def shutdown_deadline() -> SharedDeadline:
    """Return the deadline of the loop of logging that calls, a fresh one if none does.

    `logging.shutdown` flushes and closes handlers in turn, at the exit and where `dictConfig` or
    `fileConfig` replaces them; ``basicConfig(force=True)`` closes those of the root logger.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - nothing else tells who calls
    for _ in range(_DEEPEST):
        if frame is None or frame.f_code in _LOOPS:
            break
        frame = frame.f_back
    else:
        frame = None
    if frame is None:
        return SharedDeadline()
    key = (threading.get_ident(), id(frame))
    if not (key in _of_call and _of_call[key].follows()):
        _of_call.clear()
        _of_call[key] = SharedDeadline()
        _of_call[key].is_shared = True
    return _of_call[key]
