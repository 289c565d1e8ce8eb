"""Holds back the application's signal handlers for exit hooks; gives its code its signal mask."""

from __future__ import annotations

import _thread
import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from forklog.process.base import usual_mask

# What a thread brings upon itself: the kernel kills one that has blocked it, past any handler.
_OWN_FAULTS = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
_NONE: frozenset[int] = frozenset()
_BROKEN_PIPE = frozenset({signal.SIGPIPE} if hasattr(signal, "SIGPIPE") else ())
# As it was at import: that of gevent has attributes for each greenlet.
_of_thread = _thread._local()  # noqa: SLF001 - the name that `threading` imports


def leave_to_others() -> set[int]:
    """Block signals in this thread and those that it starts; return the mask that it had.

    An application that blocks a signal in its threads wants it neither handled nor to kill the
    process meanwhile. Its parent may wait for a lock that it holds, as billiard's does. The kernel
    gives it to any thread that has not blocked it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return set()
    faults = {getattr(signal, name, None) for name in _OWN_FAULTS}
    return signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)


def remember_usual(mask: set[int]) -> None:
    """Have `with_usual_mask` give this mask to the application's code in the calling thread."""
    _of_thread.mask = mask


def with_usual_mask(
    call: Callable[..., Any], blocked_too: frozenset[int] = _NONE
) -> Callable[..., Any]:
    """Return a function that calls code of the application with the mask it would have had.

    A child that the code starts inherits it. Only our own threads have another: elsewhere the
    code is just called.
    """

    @functools.wraps(call)
    def call_with_usual_mask(*arguments: Any, **options: Any) -> Any:
        usual = getattr(_of_thread, "mask", None)
        if usual is None:
            return call(*arguments, **options)
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, usual | blocked_too)
        try:
            return call(*arguments, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    return call_with_usual_mask


# For the other rooms: a connection that breaks kills no process where SIGPIPE would.
usual_mask.insert(0, functools.partial(with_usual_mask, blocked_too=_BROKEN_PIPE))


class HeldBack:
    """Run a block without signal handlers of Python; those that were due run after it.

    Python runs them in the main thread between two bytecodes. What they raise (KeyboardInterrupt,
    a SystemExit, a soft time limit) would leave entries in no place while they are moved to one.
    """

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
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        found = {number: handler for number, handler in handlers.items() if callable(handler)}
        try:
            for number, handler in found.items():  # no condition: its jump back is in no block
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
