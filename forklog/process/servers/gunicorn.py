"""gunicorn: its workers end by Python's hooks, but its dirty workers (25.0) by ``os._exit``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from forklog.process.base import pid
from forklog.process.servers.processes import Ends, Found, is_a
from forklog.process.servers.wrapping import then_flush

MODULE = "gunicorn.dirty.worker"
HOOK = "the end of gunicorn's dirty worker"
CONNECTS_AT_FORK = False
MAY_GO_ON = False
LOGGERS = ("gunicorn.error", "gunicorn.access")
MUST_REACH = ()
REPLACES_ROOT = False
KILLS = "gunicorn kills a worker that does not end in time"
IS_WEB = True
_WORKER = "worker"
_DIRTY_WORKER, _OF_DIRTY_WORKER = "dirty worker", "child of a dirty worker"
_CLASSES = (
    (MODULE, "DirtyWorker", _DIRTY_WORKER, _OF_DIRTY_WORKER),
    ("gunicorn.dirty.arbiter", "DirtyArbiter", "dirty arbiter", "child of the dirty arbiter"),
    ("gunicorn.workers.base", "Worker", _WORKER, "child of a worker"),
    ("gunicorn.arbiter", "Arbiter", "arbiter", "child of the arbiter"),
)
"""Each class, a process of it, and a child of that. A process has the objects of those that forked
it, too, so the last to be forked is looked for first."""
PROCESSES = tuple(name for _, _, *names in _CLASSES for name in names)


def detect(selves: Callable[[], Iterable[object]]) -> Found | None:
    """Look for gunicorn's objects; one that has the PID of another process has forked this one."""
    if "gunicorn.arbiter" not in sys.modules:
        return None
    things = list(selves())
    found = [
        (thing, process, child)
        for module, name, process, child in _CLASSES
        for thing in things
        if is_a(thing, module, name)
    ]
    for thing, process, _ in found:
        # The arbiter learns its PID after it has loaded an application that is preloaded.
        if getattr(thing, "pid", None) in (None, pid()):
            kind = f" ({type(thing).__name__})" if process == _WORKER else ""
            return _found(process + kind, thing)
    for thing, _, child in found:
        return _found(child, thing)
    return None


def _found(process: str, thing: object) -> Found:
    is_preloaded = bool(getattr(getattr(thing, "cfg", None), "preload_app", False))
    model = "preload" if is_preloaded else "no preload"
    known_by = f"gunicorn's {type(thing).__name__} object of process {pid()}"
    return Found(process, model, known_by)


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush after the run of a dirty worker, which is all that it does before ``os._exit``.

    Where an application logs first while it serves, `run` has been entered already, and
    `_cleanup`, the last that it calls, has to do.
    """
    for name in ("run", "_cleanup"):
        setattr(module.DirtyWorker, name, then_flush(getattr(module.DirtyWorker, name), flush))


def ends(process: str, _options: Collection[str] = ()) -> Ends:
    """Tell a dirty worker and its children from all others, which end by Python's hooks."""
    if process == _OF_DIRTY_WORKER:  # gunicorn turns even its SystemExit into os._exit
        return Ends(runs_hook=False, runs_pythons=False)
    is_dirty, without = process == _DIRTY_WORKER, ("a worker killed for its timeout",)
    return Ends(runs_hook=is_dirty, runs_pythons=not is_dirty, without=without)


def time_limit() -> str:
    """Name none: at its timeout a worker is sent SIGABRT, and delivers."""
    return ""
