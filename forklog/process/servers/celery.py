"""celery: prefork children end by ``os._exit``, after the signal `worker_process_shutdown`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from forklog.process.servers.processes import Ends, Found, is_a

MODULE = "celery.signals"
HOOK = "celery's worker_process_shutdown"
CONNECTS_AT_FORK = False
MAY_GO_ON = False
LOGGERS = ("celery", "celery.task", "celery.worker")
MUST_REACH = LOGGERS
REPLACES_ROOT = True
KILLS = "celery kills a child at its hard time limit"
IS_WEB = False
_CHILD, _BEAT, _MAIN = "child", "beat", "main process"
PROCESSES = (_CHILD, _BEAT, _MAIN)


def detect(selves: Callable[[], Iterable[object]]) -> Found | None:
    """Ask billiard, celery's multiprocessing, for a child; else look for celery's worker."""
    if "celery" not in sys.modules:
        return None
    billiard = sys.modules.get("billiard.process")
    process = billiard.current_process() if billiard else None
    if is_a(process, "celery.beat", "_Process"):
        return Found(_BEAT, "fork", "celery's beat runs in this process of billiard")
    if process is not None and process._identity:  # noqa: SLF001 - empty in the main process
        known_by = "billiard, celery's multiprocessing, calls it a child"
        return Found(f"{_CHILD} {process.name}", "prefork", known_by)
    for thing in selves():
        if is_a(thing, "celery.worker.worker", "WorkController"):
            pool = str(getattr(getattr(thing, "pool_cls", None), "__module__", ""))
            model = pool.rpartition(".")[2] or "pool not known"
            return Found(_MAIN, model, "celery's worker runs")
    return None


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush at the signal that billiard's children send last."""

    def receive(**_signal: object) -> None:
        flush()

    module.worker_process_shutdown.connect(receive, weak=False, dispatch_uid="forklog")


def connect_logging(module: Any, receive: Callable[..., object]) -> None:
    """Have ``receive`` called wherever celery sets up logging, with the logger."""
    for name in ("after_setup_logger", "after_setup_task_logger"):
        getattr(module, name).connect(receive, weak=False, dispatch_uid="forklog.setup")


def ends(process: str, _options: Collection[str] = ()) -> Ends:
    """Tell a child of the pool, which ends by the signal, from beat's and the main process."""
    if process.startswith(_CHILD):
        return Ends(runs_hook=True, runs_pythons=False, without=("a hard time limit",))
    if process == _BEAT:  # by SIGTERM, whose handler celery has reset
        return Ends(runs_hook=False, runs_pythons=False)
    # It waits for nothing then.
    return Ends(runs_hook=False, runs_pythons=True, without=("a cold shutdown (SIGQUIT)",))


def time_limit() -> str:
    """Return celery's hard time limit, for which it kills a child."""
    celery = sys.modules.get("celery")
    limit = celery.current_app.conf.task_time_limit if celery else None
    return f"celery's task_time_limit ({limit} s)" if limit else ""
