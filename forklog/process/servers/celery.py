"""celery: prefork children end by ``os._exit``, after the signal `worker_process_shutdown`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODULE = "celery.signals"
HOOK = "celery's worker_process_shutdown"
CONNECTS_AT_FORK = False
MAY_GO_ON = False


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush at the signal that billiard's children send last."""

    def receive(**_signal: object) -> None:
        flush()

    module.worker_process_shutdown.connect(receive, weak=False, dispatch_uid="forklog")


def runs_hook(process: str) -> bool:
    """Tell so of a child of the pool; the main process ends by Python's hooks."""
    return process.startswith("child")


def ends_without_hook(process: str) -> tuple[str, ...]:
    """Name what kills a child, or ends the main process without waiting for anything."""
    return ("a hard time limit",) if runs_hook(process) else ("a cold shutdown (SIGQUIT)",)
