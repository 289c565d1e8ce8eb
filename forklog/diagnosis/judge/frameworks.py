"""Yields findings about frameworks that keep records from the root logger, from the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from forklog.diagnosis.facts import Frameworks, Process
from forklog.diagnosis.finding import Finding, note, problem

REMEDIES = {
    "django": '"forklog.middleware.DjangoMiddleware" first in MIDDLEWARE',
    "fastapi": "app.add_middleware(forklog.middleware.ASGIMiddleware)",
    "starlette": "app.add_middleware(forklog.middleware.ASGIMiddleware)",
    "aiohttp.web": "web.Application(middlewares=[forklog.middleware.aiohttp_middleware])",
    "flask": "app.wsgi_app = forklog.middleware.WSGIMiddleware(app.wsgi_app)",
}
"""By framework: how its application has the middleware."""


def judge_frameworks(process: Process, found: Frameworks) -> Iterator[Finding]:
    """Yield the findings about them."""
    if found.is_root_kept:
        yield problem(
            "celery-root",
            "celery has replaced the handlers of the root logger: no record of this worker "
            "reaches forklog",
            "call forklog.setup() after the import of celery, or connect celery's signal "
            "setup_logging and configure logging there",
        )
    elif found.kept:
        *others, last = found.kept
        names = f"{', '.join(others)} and {last}" if others else last
        yield problem(
            "kept-loggers",
            f"records of {names} end below the root logger, at "
            f"{process.role.server}'s own handlers: they do not reach forklog",
            "call forklog.setup() where the application is imported, or give these loggers the "
            "handler",
        )
    if found.without_middleware:
        yield note(
            "no-middleware",
            f"{found.without_middleware} is imported, and no middleware of forklog: records have "
            "no trace and are not grouped by request",
            REMEDIES[found.without_middleware],
        )
    if found.has_inherited_context:
        yield note(
            "inherited-context",
            "threads start with the context of who starts them (thread_inherit_context): records "
            "of a pool's threads have the request that was current when the thread started",
            "call forklog.carry_threads(): then each call of a pool has the request of its own",
        )
