"""Hooks every exit that runs a hook in this kind of process; flushes its pipelines there.

docs/process-models.md has the table of who runs what. Several hooks may fire in one exit; each
flushes what is pending then. All handlers are woken first and then awaited against one deadline,
which begins with the first hook and belongs to the process. What is left goes to the last resort.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TypeVar

from forklog.clock import monotonic
from forklog.errors import is_of_forklog
from forklog.process import server_hooks, thread_end
from forklog.process.base import Member, register_at_fork
from forklog.process.deadlines import exit_deadline, shutdown_deadline
from forklog.process.members import Members
from forklog.process.servers import uwsgi, uwsgi_exceptions
from forklog.process.signals import HeldBack

T = TypeVar("T")
_PAUSE = 0.3  # less than which is no time for an attempt
_TRIES = 3  # a signal handler may raise between two lines that protect against it

_live: Members[Member] = Members()
_is_hooked = [False]  # a forked child inherits the hooks together with this mark


def _on_exit() -> None:
    """Flush every pipeline of this process; an inherited one flushes nothing."""
    flush_at_exit(_members())


def _on_possible_exit() -> None:
    """Flush where the process may end without a further hook, or go on."""
    flush_at_exit(_members(), is_end=exit_deadline().is_ending)


def _on_last_exit() -> None:
    """Flush in the last of our hooks; from now on each logging thread sends what it logs."""
    exit_deadline().note_over()
    _on_exit()
    for member in _members():
        with contextlib.suppress(Exception):
            member.retire()


class _AtExit:
    """`_on_last_exit`, kept alive by `atexit` alone: Airflow's tasks forget such callbacks."""

    def __call__(self) -> None:
        _on_last_exit()


_at_exit: list[weakref.ref[_AtExit]] = []


def _on_exit_of_main_thread() -> None:
    """Flush when the main thread has returned, unless other threads keep the process alive.

    The interpreter runs `_on_last_exit` when they have ended. Where Python code has called the end
    of the threading module, as children of multiprocessing do, that code may use ``os._exit``.
    """
    if not (_is_called_by_interpreter() and _do_others_live()):
        _on_exit()


_forker = thread_end.Ended()


def _on_exit_of_forking_thread() -> None:
    """Exit of a child forked by a thread: the C library ends it when that thread returns.

    If other threads live, the process lives as long as they do; our threads end when idle then.
    """
    _forker.note()
    if thread_end.are_others_alive():
        for member in _members():
            member.stop_when_idle()
        return
    _on_last_exit()
    if not all(member.retire() for member in _members()):
        os._exit(0)  # as the C library would; a thread that waits for an answer holds up nothing


def _on_exit_without_others() -> None:
    """Flush such a child in its flush thread, once no threads but ours are left."""
    exit_deadline().note_ending()
    for member in _members():
        if member.begin_exit():
            with exit_deadline().wait(member.shutdown_timeout) as deadline:
                is_over = monotonic() >= deadline - _PAUSE
            if is_over:
                member.end_exit(is_settled=False)


def _is_called_by_interpreter() -> bool:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - CPython has no other way to ask
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == threading.__name__


def _do_others_live() -> bool:
    own = threading.current_thread()
    return any(t is not own and not t.daemon and t.is_alive() for t in threading.enumerate())


def flush_at_exit(members: Sequence[Member], *, is_end: bool = True) -> None:
    """Have pipelines deliver what is pending within the deadline of the exit. Never raises.

    What cannot be delivered goes to the last resort. It goes at once if a signal handler raises, as
    at Ctrl-C: the user will not wait. The exception ends here. If not ``is_end``, all goes on.
    """
    settled: set[Member] = set()
    for _ in range(_TRIES):
        try:
            _flush(members, settled, is_end=is_end)
            break
        except BaseException:  # noqa: BLE001 - the process ends; the next try gives up
            exit_deadline().cut()
    if not is_end:
        exit_deadline().go_on()


def _flush(members: Sequence[Member], settled: set[Member], *, is_end: bool) -> None:
    if not members:
        return
    if is_end:
        exit_deadline().note_ending()
    with exit_deadline().wait(max(member.shutdown_timeout for member in members)) as deadline:
        members = [member for member in members if _alone(member.begin_exit, otherwise=True)]
        try:
            _await(members, settled, deadline)
        except BaseException:  # noqa: BLE001 - as above
            exit_deadline().cut()
        with HeldBack():
            for member in members:
                with contextlib.suppress(Exception):  # the interpreter is coming down
                    member.end_exit(is_settled=member in settled, is_end=is_end)


def _await(members: Sequence[Member], settled: set[Member], deadline: float) -> None:
    """Wait for the pipelines; those without a thread send here, in turns, while threads send."""
    inline = [member for member in members if member.is_inline]
    for _round in members:  # who is settled early leaves time for the others
        for number, member in enumerate(inline):
            now = monotonic()
            until = now + (deadline - now) / (len(inline) - number)
            if _alone(member.await_exit, until):
                settled.add(member)
        inline = [member for member in inline if member not in settled]
    for member in members:
        if member not in settled and _alone(member.await_exit, deadline):
            settled.add(member)


def _alone(call: Callable[..., bool], *given: float, otherwise: bool = False) -> bool:
    """Call a method of one pipeline; what goes wrong in it is no fault of the others."""
    try:
        return call(*given)
    except Exception as error:
        if not is_of_forklog(error):  # a signal handler's: the user does not want to wait
            raise
        return otherwise


def with_own_deadline(timeout: float, wait: Callable[[float], T]) -> T | None:
    """Wait to the deadline of one ``flush`` or ``close``: shared in an exit or `logging.shutdown`.

    What a signal handler raises while the process ends is swallowed, as in the hooks; None then.
    """
    if exit_deadline().is_ending:
        try:
            with exit_deadline().wait(timeout) as deadline:
                _hurry()
                return wait(deadline)
        except BaseException:  # noqa: BLE001 - the process ends
            exit_deadline().cut()
        return None
    shared = shutdown_deadline()
    with shared.wait(timeout) as deadline:
        if shared.is_shared:
            _hurry()
        return wait(deadline)


def _hurry() -> None:
    for member in _members():
        member.hurry()


def _members() -> list[Member]:
    return _live.all()


def renew() -> None:
    """Put our hooks back where an application has set its own since. Never blocks."""
    uwsgi.chain_hook("atexit", _on_exit, again=True)
    uwsgi_exceptions.before_reload_on_exception(_on_possible_exit)
    if _forker and not thread_end.are_others_alive():
        _on_exit_without_others()


def is_hooked() -> bool:
    """Tell whether Python's hooks are set, here or in an ancestor."""
    return _is_hooked[0]


def register(member: Member) -> None:
    """Have the pipeline flushed when this process ends. Never blocks, imports nothing."""
    _live.add(member)
    if _forker:
        member.stop_when_idle()
    renew()
    server_hooks.connect(_on_exit, _on_possible_exit)
    if _is_hooked[0] and _at_exit[-1]() is not None:
        return
    main = threading.main_thread()
    if threading.current_thread() is main and not main.is_alive():
        # Exit callbacks run already; a new one would not. `logging.shutdown` is still to come.
        exit_deadline().note_ending()
        exit_deadline().note_over()
    last = _AtExit()
    _at_exit[:] = [weakref.ref(last)]
    atexit.register(last)
    if _is_hooked[0]:
        return
    thread_end.before_threads_end(_on_exit_of_main_thread)
    _is_hooked[0] = True  # last: an exception on the way has the next record do it again


def _after_fork() -> None:
    try:
        server_hooks.connect_forked(_on_exit, _on_possible_exit)
        thread_end.watch(_on_exit_of_forking_thread)
    except RecursionError:
        return  # the first record connects to servers


register_at_fork(after_in_child=_after_fork)
