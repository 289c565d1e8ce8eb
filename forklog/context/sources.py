"""Asks Django, Flask, RQ and OpenTelemetry for trace and request, where no scope of ours is set.

Those of requests and jobs are asked where no middleware and no wrapper of ours has set a scope. The
request that Google's middleware keeps for a thread is cleared when the request ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from forklog.context.base import LogContext, Source
from forklog.context.headers import context_of_environ, context_of_job

DJANGO_SIGNALS = "django.core.signals"
_DJANGO_MIDDLEWARE = "google.cloud.logging_v2.handlers.middleware.request"
_UID = "forklog.context"


def _from_opentelemetry() -> LogContext | None:
    span = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    if not span.is_valid:
        return None
    trace, span_id = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return LogContext(trace, span_id, bool(span.trace_flags.sampled))


def _from_flask() -> LogContext | None:
    flask = sys.modules["flask"]
    if not flask.has_request_context():
        return None
    request = flask.request
    return context_of_environ(request.environ, lambda: request.url)


def _from_django() -> LogContext | None:
    module = sys.modules[_DJANGO_MIDDLEWARE]
    request = module._get_django_request()  # noqa: SLF001 - what the stock handler reads
    if request is None:
        return None
    return context_of_environ(request.META, request.build_absolute_uri)


def _from_rq() -> LogContext | None:
    job = sys.modules["rq.job"].get_current_job()
    return None if job is None else context_of_job(job)


SOURCES = (
    Source("rq.job", _from_rq),  # a job whose module is the first to import forklog
    Source("flask", _from_flask),
    Source(_DJANGO_MIDDLEWARE, _from_django),  # the stock handler asks Django before Flask
    Source("opentelemetry.trace", _from_opentelemetry, is_of_spans=True),
)


def clear_at_end(signals: Any, _current: Callable[[], LogContext]) -> bool:
    """Connect to Django's signal; not while its lock is held, maybe by no thread here."""
    if signals.request_finished.lock.locked():
        return False
    signals.request_finished.connect(_forget, weak=False, dispatch_uid=_UID)
    return True


def _forget(**_signal: Any) -> None:
    module = sys.modules.get(_DJANGO_MIDDLEWARE)
    if module is not None:
        vars(module._thread_locals).pop("request", None)  # noqa: SLF001 - nothing else forgets it
