"""RQ: a work horse ends by ``os._exit`` after its job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from forklog.process.servers.processes import Ends, Found
from forklog.process.servers.wrapping import then_flush

MODULE = "rq.worker"
HOOK = "the end of RQ's job"
CONNECTS_AT_FORK = True  # a horse may log first inside what has to be wrapped
MAY_GO_ON = False
LOGGERS = ("rq.worker",)
MUST_REACH = ()
REPLACES_ROOT = False
KILLS = "RQ kills a work horse that outlives its time"
IS_WEB = False
_HORSE, _WORKER = "work horse", "worker"
PROCESSES = (_HORSE, _WORKER)


def detect(selves: Callable[[], Iterable[object]]) -> Found | None:
    """Look for RQ's worker, which knows whether it is a horse."""
    if MODULE not in sys.modules:
        return None
    for thing in selves():
        if any(f"{c.__module__}.".startswith(f"{MODULE}.") for c in type(thing).__mro__):
            is_horse = bool(getattr(thing, "is_horse", False))
            process = _HORSE if is_horse else _WORKER
            model = "fork for each job" if is_horse else type(thing).__name__
            return Found(process, model, "RQ's worker says so")
    return None


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush after the job, which is all that a work horse does before ``os._exit``.

    Where the job's module is the first to import this handler, `perform_job` has been entered
    already, and the last that it calls has to do.
    """
    for name in ("perform_job", "handle_job_success", "handle_job_failure", "handle_job_retry"):
        owner = next((c for c in module.Worker.__mro__ if name in vars(c)), None)
        if owner is not None:
            method = then_flush(getattr(owner, name), flush, lambda horse: bool(horse.is_horse))
            setattr(owner, name, method)


def ends(process: str, _options: Collection[str] = ()) -> Ends:
    """Tell a work horse from the worker, which ends by Python's hooks."""
    if process != _HORSE:
        return Ends(runs_hook=False, runs_pythons=True)
    without = ("a horse that is killed for its time",)
    return Ends(runs_hook=True, runs_pythons=False, without=without)


def time_limit() -> str:
    """Name none: a job has its own."""
    return ""
