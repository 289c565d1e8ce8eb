"""Signal handlers of the application, held back while entries are moved to the last resort.

Python runs them in the main thread between two bytecodes, and what they raise (KeyboardInterrupt,
a SystemExit, a soft time limit) would leave entries in no place at all.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class HeldBack:
    """Run a block without signal handlers of Python; those that were due run after it."""

    def __init__(self) -> None:
        """Change nothing yet."""
        self._handlers: dict[int, Any] = {}
        self._due: list[int] = []

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._due.append(number)

    def __enter__(self) -> None:
        """Put a note-taker in the place of each handler; other threads than the main one run none.

        Raises:
            BaseException: what a handler raises that was due just now.
        """
        if threading.get_ident() != threading.main_thread().ident:
            return
        try:
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
        except ValueError:  # a thread that is not the main one in the eyes of the interpreter
            self._handlers.clear()
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *_args: object) -> None:
        """Put the handlers back and call those that were due, each once.

        Raises:
            BaseException: what the last of them raises.
        """
        handlers, raised = dict(self._handlers), self._restore()
        for number in dict.fromkeys(self._due):
            try:
                handlers[number](number, None)
            except BaseException as error:  # noqa: BLE001, PERF203 - raised when all have run
                raised = error
        if raised is not None:
            raise raised

    def _restore(self) -> BaseException | None:
        """Put the handlers back; return what one of them has raised meanwhile."""
        raised: BaseException | None = None
        while self._handlers:
            try:
                number, handler = next(iter(self._handlers.items()))
                signal.signal(number, handler)
                del self._handlers[number]
            except BaseException as error:  # noqa: BLE001, PERF203 - the others are put back first
                raised = error
        return raised
