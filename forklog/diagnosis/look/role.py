"""Asks each server of `process.servers` for the doctor which role this process has, by whose fork.

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
from forklog.process import server_hooks
from forklog.process.servers import uwsgi


def role_here() -> Role:
    """Find out the role of the calling process. Never blocks."""
    role = _multiprocessing()
    if role is not None:
        return role
    for name, server in server_hooks.ALL.items():
        found = server.detect(_selves)
        if found is not None:
            return Role(
                server="fork" if found.is_forked else name,
                name=found.process,
                model=found.model,
                known_by=found.known_by,
                is_loader=found.is_loader,
            )
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
