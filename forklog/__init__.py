"""A `logging` handler for Google Cloud Logging that keeps delivering whatever ``fork()`` does."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from forklog.handling.eager import eager

with eager():
    from forklog.__about__ import VERSION as __version__  # noqa: N811 - its public name
    from forklog.context.scope import bind, bound, unbind, unbind_all
    from forklog.context.threads import carry_threads
    from forklog.errors import ForklogError, OptionError
    from forklog.handler import CloudLoggingHandler
    from forklog.setting_up.everywhere import flush, metrics, stats
    from forklog.setting_up.install import Setup, setup
    from forklog.setting_up.structlog import structlog_processor
    from forklog.snapshot import Stats
    from forklog.structured import StructuredLogHandler

if TYPE_CHECKING:
    from forklog.diagnosis.report import Report

__all__ = [
    "CloudLoggingHandler",
    "ForklogError",
    "OptionError",
    "Setup",
    "Stats",
    "StructuredLogHandler",
    "__version__",
    "bind",
    "bound",
    "carry_threads",
    "doctor",
    "flush",
    "metrics",
    "setup",
    "stats",
    "structlog_processor",
    "unbind",
    "unbind_all",
]


def doctor(
    timeout: float = 5.0,
    *,
    accept: Collection[str] = (),
    project: str | None = None,
    endpoint: str | None = None,
    credentials: Any = None,
) -> Report:
    """Examine this very process: say what would lose its records, and what to do about it.

    Looks at role, forks, exits, handlers and loggers, and has the server check one entry without
    storing it (a dry run). What fails in it becomes a finding. Blocks for the network, but at most
    ``timeout`` seconds; not for signal handlers. Works in a thread, or, in a process that uWSGI is
    going to fork, in a child process that has ended when the call returns.

    Args:
        timeout: seconds until the call returns at the latest.
        accept: codes of findings that are known and do not count as problems.
        project: in place of the handlers' option; so are ``endpoint`` and ``credentials``.
        endpoint: a URL.
        credentials: a credentials object, or the path of a file.

    Returns:
        What was found: ``str()`` of it is for people, ``as_dict()`` for machines.

    Raises:
        OptionError: ``timeout`` is no number of seconds above 0.
    """
    examine = importlib.import_module("forklog.diagnosis.examine").examine
    report: Report = examine(
        timeout, accept=accept, project=project, endpoint=endpoint, credentials=credentials
    )
    return report
