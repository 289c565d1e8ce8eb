"""RQ: hands the trace of the enqueuing code on to a job; gives each job its own scope."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

from forklog.context.base import CURRENT, LogContext
from forklog.context.headers import carried, parse_headers
from forklog.context.scope import begin, end, new_trace, trace_of_id

MODULE = "rq.worker"
_KEY = "forklog_trace"  # in the meta data of a job


def connect(module: Any) -> bool:
    """Wrap the method that makes a job, and the one by which a worker runs it."""
    job = sys.modules["rq.job"].Job
    job.create = classmethod(_then_carry(vars(job)["create"].__func__))
    owner = next(c for c in module.Worker.__mro__ if "perform_job" in vars(c))
    owner.perform_job = _in_scope(vars(owner)["perform_job"])
    return True


def context_of_job(job: Any) -> LogContext:
    """Return what is known of a job: the trace it carries, its id and name as labels."""
    meta = job.meta if isinstance(job.meta, dict) else {}
    trace, span_id, sampled = parse_headers(None, meta.get(_KEY))
    labels = {"rq_job_id": str(job.id)}
    with contextlib.suppress(Exception):  # what cannot be read back is the worker's to report
        labels["rq_job_name"] = str(job.func_name)
    return LogContext(trace or trace_of_id(job.id), span_id, sampled, labels=labels)


def _then_carry(create: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(create)
    def create_and_carry(cls: Any, *args: Any, **kwargs: Any) -> Any:
        job, scope = create(cls, *args, **kwargs), CURRENT.get()
        header = carried(scope.whole().context) if scope is not None else None
        if header:
            job.meta = {_KEY: header, **(job.meta or {})}
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
