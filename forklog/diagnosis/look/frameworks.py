"""Finds for the doctor which frameworks keep records, or the request of a record, to themselves."""

from __future__ import annotations

import logging
import sys

from forklog.context.base import MIDDLEWARES
from forklog.diagnosis.facts import Frameworks, Process
from forklog.diagnosis.judge.frameworks import REMEDIES
from forklog.diagnosis.look.routes import reaches_ours

_KEPT = {
    "uvicorn": ("uvicorn.error", "uvicorn.access"),
    "celery": ("celery", "celery.task"),
}
"""By server: its loggers whose records do not reach the root logger, as it comes."""
_OF_GOOGLE = "google.cloud.logging_v2.handlers.middleware.request"
_WEB_SERVERS = ("uwsgi", "gunicorn", "uvicorn")


def look_at_frameworks(process: Process) -> Frameworks:
    """Look at the loggers of the server that runs this process, and for middlewares. No I/O."""
    server, loaded = process.role.server, sys.modules
    is_root_kept = server == "celery" and not reaches_ours(logging.root)
    kept = [n for n in _KEPT.get(server, ()) if not reaches_ours(logging.getLogger(n))]
    is_asked = server in _WEB_SERVERS and not process.role.is_loader
    has_middleware = bool(MIDDLEWARES) or _OF_GOOGLE in loaded
    without = next((name for name in REMEDIES if name in loaded), "")
    return Frameworks(
        kept=tuple(kept),
        is_root_kept=is_root_kept,
        without_middleware=without if is_asked and not has_middleware else "",
    )
