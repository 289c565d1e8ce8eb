"""gunicorn: its workers end by Python's hooks, but its dirty workers (25.0) by ``os._exit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forklog.process.servers.wrapping import then_flush

MODULE = "gunicorn.dirty.worker"
HOOK = "the end of gunicorn's dirty worker"
CONNECTS_AT_FORK = False
MAY_GO_ON = False


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush after the run of a dirty worker, which is all that it does before ``os._exit``.

    Where an application logs first while it serves, `run` has been entered already, and
    `_cleanup`, the last that it calls, has to do.
    """
    for name in ("run", "_cleanup"):
        setattr(module.DirtyWorker, name, then_flush(getattr(module.DirtyWorker, name), flush))


def runs_hook(process: str) -> bool:
    """Tell so of a dirty worker; all others end by Python's hooks."""
    return process.startswith("dirty worker")


def ends_without_hook(_process: str) -> tuple[str, ...]:
    """Name what kills a worker."""
    return ("a worker killed for its timeout",)
