"""Which role this process has, and by whose fork; asks servers that are loaded, imports none.

The most particular answer comes first: a child of multiprocessing in a gunicorn worker is a child.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from forklog.diagnosis.facts import Role
from forklog.process.servers import uwsgi

_OFF = ("false", "off", "no", "0")


def role_here() -> Role:
    """Find out the role of the calling process. Never blocks."""
    for ask in (_multiprocessing, _celery, _rq, _gunicorn, _uvicorn, _uwsgi):
        role = ask()
        if role is not None:
            return role
    parent = uwsgi.imported_by()
    if parent != os.getpid():
        known_by = f"forklog was imported by process {parent}, this is {os.getpid()}"
        return Role(server="fork", name="child", model="os.fork", known_by=known_by)
    return Role(known_by="no server that forks is in charge here")


def _multiprocessing() -> Role | None:
    module = sys.modules.get("multiprocessing.process")
    parent = module.parent_process() if module else None
    if parent is None or module is None:
        return None
    call = " ".join(sys.orig_argv)
    model = "fork"
    if "multiprocessing.forkserver" in call:
        model = "forkserver"
    elif "multiprocessing.spawn" in call and uwsgi.imported_by() == os.getpid():
        model = "spawn"
    return Role(
        server="multiprocessing",
        name=f"child {module.current_process().name}",
        model=model,
        known_by=f"multiprocessing names process {parent.pid} as its parent",
    )


def _celery() -> Role | None:
    billiard = sys.modules.get("billiard.process")
    if "celery" not in sys.modules:
        return None
    process = billiard.current_process() if billiard else None
    if process is not None and process._identity:  # noqa: SLF001 - empty in the main process
        return Role(
            server="celery",
            name=f"child {process.name}",
            model="prefork",
            known_by="billiard, celery's multiprocessing, calls it a child",
        )
    for thing in _selves():
        if _is_a(thing, "celery.worker.worker", "WorkController"):
            pool = str(getattr(getattr(thing, "pool_cls", None), "__module__", ""))
            model = pool.rpartition(".")[2] or "pool not known"
            return Role(
                server="celery", name="main process", model=model, known_by="celery's worker runs"
            )
    return None


def _rq() -> Role | None:
    if "rq.worker" not in sys.modules:
        return None
    for thing in _selves():
        if any(f"{c.__module__}.".startswith("rq.worker.") for c in type(thing).__mro__):
            is_horse = bool(getattr(thing, "is_horse", False))
            name = "work horse" if is_horse else "worker"
            model = "fork for each job" if is_horse else type(thing).__name__
            return Role(server="rq", name=name, model=model, known_by="RQ's worker says so")
    return None


def _uvicorn() -> Role | None:
    if "uvicorn.server" not in sys.modules:
        return None
    for thing in _selves():
        if _is_a(thing, "uvicorn.server", "Server"):
            known_by = "uvicorn's Server runs in the main thread"
            return Role(server="uvicorn", name="server", model="no fork", known_by=known_by)
    return None


_GUNICORNS = (
    ("gunicorn.dirty.worker", "DirtyWorker", "dirty worker", "child of a dirty worker"),
    ("gunicorn.dirty.arbiter", "DirtyArbiter", "dirty arbiter", "child of the dirty arbiter"),
    ("gunicorn.workers.base", "Worker", "worker", "child of a worker"),
    ("gunicorn.arbiter", "Arbiter", "arbiter", "child of the arbiter"),
)
"""Classes of gunicorn, a process of each, and its child. A process has those of its parents, too:
a later one forks the earlier ones."""


def _gunicorn() -> Role | None:
    if "gunicorn.arbiter" not in sys.modules:
        return None
    things = list(_selves())
    found = [
        (thing, process, child)
        for module, name, process, child in _GUNICORNS
        for thing in things
        if _is_a(thing, module, name)
    ]
    for thing, process, _ in found:
        # The arbiter learns its PID after it has loaded an application that is preloaded.
        if getattr(thing, "pid", None) in (None, os.getpid()):
            kind = f" ({type(thing).__name__})" if process == "worker" else ""
            return _gunicorn_role(process + kind, thing)
    for thing, _, child in found:
        return _gunicorn_role(child, thing)
    return None


def _gunicorn_role(name: str, thing: Any) -> Role:
    is_preloaded = bool(getattr(getattr(thing, "cfg", None), "preload_app", False))
    return Role(
        server="gunicorn",
        name=name,
        model="preload" if is_preloaded else "no preload",
        known_by=f"gunicorn's {type(thing).__name__} object of process {os.getpid()}",
    )


def _uwsgi() -> Role | None:
    module = uwsgi_module()
    role = uwsgi.role()
    if module is None or role is uwsgi.Role.NONE:
        return None
    master, number = module.masterpid(), module.worker_id()
    if number and os.getpid() not in [worker["pid"] for worker in module.workers()]:
        known_by = f"worker_id {number}, but no worker has the pid {os.getpid()}"
        name = f"child of uWSGI worker {number}"
        return Role(server="fork", name=name, model="os.fork", known_by=known_by)
    is_lazy = is_on("lazy-apps") or is_on("lazy")
    model = "lazy-apps" if is_lazy else "prefork"
    if not master:
        model += ", no master"
    is_loader = role is uwsgi.Role.LOADER
    name = {
        uwsgi.Role.LOADER: "master, before its workers" if master else "first process",
        uwsgi.Role.MULE: f"mule {module.mule_id()}",
        uwsgi.Role.SPOOLER: "spooler",
    }.get(role, f"worker {number}" if number else "child of the master")
    known_by = f"worker_id {number}, masterpid {master}, pid {os.getpid()}"
    if uwsgi.imported_by() != os.getpid():
        known_by += f"; the app was loaded by process {uwsgi.imported_by()}"
    return Role(server="uwsgi", name=name, model=model, known_by=known_by, is_loader=is_loader)


def uwsgi_module() -> Any:
    """Return the module that uWSGI makes in its processes; None elsewhere."""
    return sys.modules.get("uwsgi") if uwsgi.is_present() else None


def is_on(option: str) -> bool:
    """Tell whether an option of uWSGI is set; a flag may be set to ``false``."""
    value = getattr(uwsgi_module(), "opt", {}).get(option, False)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.lower() not in _OFF


def _selves() -> Iterator[Any]:
    """Yield what handles signals here, and what runs on the main thread's stack.

    gunicorn's objects are in no global variable; they handle its signals, or call the app.
    """
    for number in signal.valid_signals():
        yield getattr(signal.getsignal(number), "__self__", None)
    ident = threading.main_thread().ident
    frame: FrameType | None = sys._current_frames().get(ident or 0)  # noqa: SLF001 - documented
    while frame is not None:
        if "self" in frame.f_code.co_varnames[:1] + frame.f_code.co_cellvars:
            yield frame.f_locals.get("self")
        frame = frame.f_back


def _is_a(thing: object, module: str, name: str) -> bool:
    """Tell whether a thing is of a class, without importing the class or touching the thing."""
    return any(c.__module__ == module and c.__name__ == name for c in type(thing).__mro__)
