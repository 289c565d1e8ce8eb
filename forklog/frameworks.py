"""How processes of celery, RQ and uvicorn end: without any hook of Python's; for `exits`.

celery's prefork children and RQ's work horses end by ``os._exit``. uvicorn, when a signal made it
shut down, raises that signal again with its default action. Nothing is imported here: a framework
that is not loaded does not run this process.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["connect", "connect_forked"]

Hook = Callable[[Any, Callable[[], object]], None]

_connected: set[str] = set()  # inherited by a forked child, as the connections are


def connect(leave: Callable[[], object]) -> None:
    """Have ``leave()`` called where one of them is about to end this process. Never raises.

    Calling it again connects only what was loaded meanwhile.
    """
    for name, hook in _HOOKS.items():
        _connect(name, hook, leave)


def connect_forked(leave: Callable[[], object]) -> None:
    """Do so in a child, at the fork, for RQ: a horse may log first inside what has to be wrapped.

    The others can wait for the first record; celery's signal takes a lock to be connected, which
    a thread that the child has not may hold.
    """
    _connect("rq.worker", _wrap_rq, leave)


def _connect(name: str, hook: Hook, leave: Callable[[], object]) -> None:
    module = sys.modules.get(name)
    if module is not None and name not in _connected:
        with contextlib.suppress(Exception):  # half imported, or unlike the versions known
            hook(module, leave)
            _connected.add(name)


def _connect_celery(signals: Any, leave: Callable[[], object]) -> None:
    """Connect the signal that billiard's children send last."""

    def receive(**_signal: object) -> None:
        leave()

    signals.worker_process_shutdown.connect(receive, weak=False, dispatch_uid="forklog")


def _wrap_rq(worker: Any, leave: Callable[[], object]) -> None:
    """Leave after the job, which is all that a work horse does before ``os._exit``.

    Where the job's module is the first to import this handler, `perform_job` has been entered
    already, and the last that it calls has to do.
    """
    for name in ("perform_job", "handle_job_success", "handle_job_failure", "handle_job_retry"):
        owner = next((c for c in worker.Worker.__mro__ if name in vars(c)), None)
        if owner is not None:
            setattr(owner, name, _then_leave(getattr(owner, name), leave))


def _then_leave(run: Callable[..., Any], leave: Callable[[], object]) -> Callable[..., Any]:
    @functools.wraps(run)
    def run_and_leave(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return run(self, *args, **kwargs)
        finally:
            if self.is_horse:
                leave()

    return run_and_leave


def _wrap_uvicorn(server: Any, leave: Callable[[], object]) -> None:
    """Leave after what uvicorn does last before it raises the signal again.

    Its `_serve` logs one more line after `shutdown`, but it may have been entered already: the
    application is imported in it, and with it this handler, as a rule.
    """
    for name in ("_serve", "shutdown"):
        setattr(server.Server, name, _then_leave_async(getattr(server.Server, name), leave))


def _then_leave_async(run: Callable[..., Any], leave: Callable[[], object]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def run_and_leave(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await run(self, *args, **kwargs)
        finally:
            # SIGINT becomes a KeyboardInterrupt, which `uvicorn.run` catches: the program goes on,
            # or ends by the hooks of the interpreter.
            if set(self._captured_signals) - {signal.SIGINT}:
                leave()

    return run_and_leave


_HOOKS: dict[str, Hook] = {
    "celery.signals": _connect_celery,
    "rq.worker": _wrap_rq,
    "uvicorn.server": _wrap_uvicorn,
}
