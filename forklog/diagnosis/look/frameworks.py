"""Finds for the doctor which frameworks keep records, or the request of a record, to themselves."""

from __future__ import annotations

import logging
import sys

from forklog.context.base import MIDDLEWARES
from forklog.context.threads import has_threads_carried
from forklog.diagnosis.facts import Frameworks, Process
from forklog.diagnosis.judge.frameworks import REMEDIES
from forklog.diagnosis.look.routes import reaches_ours
from forklog.process import server_hooks

_OF_GOOGLE = "google.cloud.logging_v2.handlers.middleware.request"


def look_at_frameworks(process: Process) -> Frameworks:
    """Look at the loggers of the server that runs this process, and for middlewares. No I/O."""
    server, loaded = server_hooks.ALL.get(process.role.server), sys.modules
    must_reach = server.MUST_REACH if server else ()
    is_root_kept = bool(server and server.REPLACES_ROOT) and not reaches_ours(logging.root)
    kept = [name for name in must_reach if not reaches_ours(logging.getLogger(name))]
    is_asked = bool(server and server.IS_WEB) and not process.role.is_loader
    has_middleware = bool(MIDDLEWARES) or _OF_GOOGLE in loaded
    without = next((name for name in REMEDIES if name in loaded), "")
    return Frameworks(
        kept=tuple(kept),
        is_root_kept=is_root_kept,
        without_middleware=without if is_asked and not has_middleware else "",
        has_inherited_context=bool(
            MIDDLEWARES
            and getattr(sys.flags, "thread_inherit_context", False)
            and not has_threads_carried()
        ),
    )
