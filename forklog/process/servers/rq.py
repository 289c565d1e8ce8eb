"""RQ: a work horse ends by ``os._exit`` after its job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forklog.process.servers.wrapping import then_flush

MODULE = "rq.worker"
HOOK = "the end of RQ's job"
CONNECTS_AT_FORK = True  # a horse may log first inside what has to be wrapped
MAY_GO_ON = False


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


def runs_hook(process: str) -> bool:
    """Tell so of a work horse; the worker ends by Python's hooks."""
    return process == "work horse"


def ends_without_hook(process: str) -> tuple[str, ...]:
    """Name what kills a horse."""
    return ("a horse that is killed for its time",) if runs_hook(process) else ()
