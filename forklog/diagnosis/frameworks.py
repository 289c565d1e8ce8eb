"""Frameworks that keep records, or the request of a record, to themselves: looks and judges."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

from forklog.context.base import MIDDLEWARES
from forklog.diagnosis.facts import Frameworks, Process
from forklog.diagnosis.finding import Finding, note, problem
from forklog.diagnosis.routes import reaches_ours

_KEPT = {
    "uvicorn": ("uvicorn.error", "uvicorn.access"),
    "celery": ("celery", "celery.task"),
}
"""By server: its loggers whose records do not reach the root logger, as it comes."""
_FRAMEWORKS = {
    "django": '"forklog.middleware.DjangoMiddleware" first in MIDDLEWARE',
    "fastapi": "app.add_middleware(forklog.middleware.ASGIMiddleware)",
    "starlette": "app.add_middleware(forklog.middleware.ASGIMiddleware)",
    "aiohttp.web": "web.Application(middlewares=[forklog.middleware.aiohttp_middleware])",
    "flask": "app.wsgi_app = forklog.middleware.WSGIMiddleware(app.wsgi_app)",
}
_OF_GOOGLE = "google.cloud.logging_v2.handlers.middleware.request"
_WEB_SERVERS = ("uwsgi", "gunicorn", "uvicorn")


def look_at_frameworks(process: Process) -> Frameworks:
    """Look at the loggers of the server that runs this process, and for middlewares. No I/O."""
    server, loaded = process.role.server, sys.modules
    is_root_kept = server == "celery" and not reaches_ours(logging.root)
    kept = [n for n in _KEPT.get(server, ()) if not reaches_ours(logging.getLogger(n))]
    is_asked = server in _WEB_SERVERS and not process.role.is_loader
    has_middleware = bool(MIDDLEWARES) or _OF_GOOGLE in loaded
    without = next((name for name in _FRAMEWORKS if name in loaded), "")
    return Frameworks(
        kept=tuple(kept),
        is_root_kept=is_root_kept,
        without_middleware=without if is_asked and not has_middleware else "",
    )


def judge_frameworks(process: Process, found: Frameworks) -> Iterator[Finding]:
    """Yield the findings about them. Pure."""
    if found.is_root_kept:
        yield problem(
            "celery-root",
            "celery has replaced the handlers of the root logger: no record of this worker "
            "reaches forklog",
            "call forklog.setup() after the import of celery, or connect celery's signal "
            "setup_logging and configure logging there",
        )
    elif found.kept:
        yield problem(
            "kept-loggers",
            f"records of {' and '.join(found.kept)} end below the root logger, at "
            f"{process.role.server}'s own handlers: they do not reach forklog",
            "call forklog.setup() where the application is imported, or give these loggers the "
            "handler",
        )
    if found.without_middleware:
        yield note(
            "no-middleware",
            f"{found.without_middleware} is imported, and no middleware of forklog: records have "
            "no trace and are not grouped by request",
            _FRAMEWORKS[found.without_middleware],
        )
