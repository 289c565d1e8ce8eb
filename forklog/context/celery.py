"""celery: hands the trace of the publishing code on to a task; gives each task its own scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forklog.context.base import CURRENT, LogContext
from forklog.context.headers import carried, parse_headers, trace_of_id
from forklog.context.scope import begin, end, new_trace

MODULE = "celery.signals"
_HEADER = "forklog_trace"
_UID = "forklog.context"


def connect(signals: Any, current: Callable[[], LogContext]) -> bool:
    """Connect to the signals of celery; not while a lock of theirs is held, maybe by no thread.

    Args:
        signals: celery's module.
        current: returns what is known of the code that sends a task.
    """
    receivers = (
        (signals.before_task_publish, _publisher(current)),
        (signals.task_prerun, _begin),
        (signals.task_postrun, _end),
    )
    if any(signal.lock.locked() for signal, _ in receivers):
        return False
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False, dispatch_uid=_UID)
    return True


def _publisher(current: Callable[[], LogContext]) -> Callable[..., None]:
    def publish(headers: Any = None, **_signal: Any) -> None:
        """Have a message carry the trace of the code that sends it."""
        header = carried(current())
        if header and isinstance(headers, dict):
            headers[_HEADER] = header

    return publish


def _begin(task_id: Any = None, task: Any = None, **_signal: Any) -> None:
    """Begin the scope of a task, in the process and thread that runs it."""
    request = task.request
    trace, span_id, sampled = parse_headers(
        getattr(request, "traceparent", None), getattr(request, _HEADER, None)
    )
    outer = CURRENT.get()
    if trace is None and outer is not None:  # a task that is run where it is called
        known = outer.whole().context
        trace, span_id, sampled = known.trace, known.span_id, known.sampled
    labels = {"celery_task_id": str(task_id), "celery_task_name": str(task.name)}
    scope = begin(
        LogContext(trace or trace_of_id(task_id) or new_trace(), span_id, sampled, labels=labels)
    )
    request.forklog_scope = scope


def _end(task: Any = None, **_signal: Any) -> None:
    """End it, after all that celery logs of the task."""
    scope = getattr(task.request, "forklog_scope", None)
    if scope is not None:
        task.request.forklog_scope = None
        end(scope)
