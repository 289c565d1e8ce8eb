"""celery: prefork children end by ``os._exit``, after the signal `worker_process_shutdown`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODULE = "celery.signals"
HOOK = "celery's worker_process_shutdown"
CONNECTS_AT_FORK = False
MAY_GO_ON = False
ENDS_WITHOUT_HOOK = ("a hard time limit",)


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush at the signal that billiard's children send last."""

    def receive(**_signal: object) -> None:
        flush()

    module.worker_process_shutdown.connect(receive, weak=False, dispatch_uid="forklog")
