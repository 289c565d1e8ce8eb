"""Calls a function at a chosen step in the middle of forklog's own code, as a signal handler would.

A real signal runs its handler between two bytecodes of the main thread. A trace function is called
between two bytecodes too, and Python lets it choose which.

CPython looks for signals after some bytecodes alone, see `strike`; finalizers run after any.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forklog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_PACKAGE = str(Path(forklog.__file__).parent)
_TOOLS = str(Path(_PACKAGE, "testing"))


class Interruption:
    """Make one call at the n-th step that this thread takes in forklog's code.

    Args:
        step: which one, counted from 1.
        call: what to do there.
        by_opcode: whether a step is a bytecode, where Python shows them; else it is a line.
    """

    def __init__(
        self,
        step: int,
        call: Callable[[], object],
        *,
        by_opcode: bool,
    ) -> None:
        """Count nothing yet."""
        self._left = step
        self._call = call
        # From 3.13 on Python reports hardly any opcode of a frame that asks for them when it is
        # called. One that ran traced before is reported in part.
        self._by_opcode = by_opcode and sys.version_info < (3, 13)
        self.place = ""

    def __call__(self, act: Callable[[], object]) -> bool:
        """Run ``act``; return whether it was interrupted, that is, has so many steps."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            act()
        finally:
            sys.settrace(before)
        return bool(self.place)

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        """Follow forklog's frames; a trace function of Python's."""
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) or file.startswith(_TOOLS):
            return None
        if self._by_opcode:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event != "call":
            self._left -= 1
            if not self._left:
                self.place = f"{Path(file).name}:{frame.f_lineno}"
                self._call()
        return None if self.place else self.trace


def every_step(
    act: Callable[[], object],
    call: Callable[[], object],
    *,
    by_opcode: bool,
) -> Iterator[str]:
    """Run ``act`` again and again, interrupted once each time, a step later each time.

    Yields where it was interrupted, after each run; ends when there is no later step.
    """
    step = 0
    while True:
        step += 1
        interruption = Interruption(step, call, by_opcode=by_opcode)
        if not interruption(act):
            return
        yield interruption.place
