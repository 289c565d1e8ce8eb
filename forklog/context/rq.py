"""RQ: hands the trace of the enqueuing code on to a job; gives each job its own scope."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from forklog.context.base import LogContext
from forklog.context.headers import JOB_KEY, carried, context_of_job
from forklog.context.scope import begin, end, new_trace

MODULE = "rq.worker"


def connect(module: Any, current: Callable[[], LogContext]) -> bool:
    """Wrap the method that makes a job, and the one by which a worker runs it.

    Args:
        module: that of RQ's worker.
        current: returns what is known of the code that makes a job.
    """
    job = sys.modules["rq.job"].Job
    job.create = classmethod(_then_carry(vars(job)["create"].__func__, current))
    owner = next(c for c in module.Worker.__mro__ if "perform_job" in vars(c))
    owner.perform_job = _in_scope(vars(owner)["perform_job"])
    return True


def _then_carry(
    create: Callable[..., Any], current: Callable[[], LogContext]
) -> Callable[..., Any]:
    @functools.wraps(create)
    def create_and_carry(cls: Any, *args: Any, **kwargs: Any) -> Any:
        job, header = create(cls, *args, **kwargs), carried(current())
        if header:
            job.meta = {JOB_KEY: header, **(job.meta or {})}
        return job

    return create_and_carry


def _in_scope(perform: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(perform)
    def perform_in_scope(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        known = context_of_job(job)
        trace = known.trace or new_trace()
        scope = begin(LogContext(trace, known.span_id, known.sampled, labels=known.labels))
        try:
            return perform(self, job, *args, **kwargs)
        finally:
            end(scope)

    return perform_in_scope
