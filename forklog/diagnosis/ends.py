"""Which hooks run when a process of a role ends; the measured table of docs/process-models.md."""

from __future__ import annotations

import sys
import threading

from forklog import exits
from forklog.diagnosis.facts import Ends, Hook, Process

__all__ = ["ends_of", "look_at_ends"]

_KILL = "SIGKILL (also of the out-of-memory killer)"
_OS_EXIT = "os._exit"


def look_at_ends(process: Process) -> Ends:
    """Say what runs at the end of the calling process, which is ``process``."""
    is_hooked = exits._is_hooked[0]  # noqa: SLF001 - of our own package
    return ends_of(
        process,
        is_hooked=is_hooked,
        has_thread_hook=hasattr(threading, "_register_atexit"),
        version=sys.version_info[:2],
    )


def ends_of(
    process: Process, *, is_hooked: bool, has_thread_hook: bool, version: tuple[int, ...]
) -> Ends:
    """Say what runs at the end of a process. Pure.

    Args:
        process: the process.
        is_hooked: forklog has hooked the exits, here or in a process that forked this one.
        has_thread_hook: this Python has ``threading._register_atexit``.
        version: of Python, as (3, 12).
    """
    firing, without = _table(process, version)
    names = ["threading._register_atexit", "atexit"]
    if not has_thread_hook:
        names.pop(0)
    if process.role.server == "uwsgi":
        names.insert(0, "uwsgi.atexit")
    if process.role.server == "celery":
        names.insert(0, "celery worker_process_shutdown")
    hooks = []
    for name in names:
        has_ours = process.has_own_atexit if name == "uwsgi.atexit" else is_hooked
        if name == "atexit" and process.role.server == "multiprocessing":
            has_ours = has_ours and process.role.model == "spawn"  # cleared in the other children
        hooks.append(Hook(name=name, fires=name in firing, is_hooked=has_ours))
    return Ends(hooks=tuple(hooks), without=without)


def _table(process: Process, version: tuple[int, ...]) -> tuple[set[str], tuple[str, ...]]:
    """Return the hooks that fire in this role, and the ends that run none."""
    role = process.role
    both = {"atexit", "threading._register_atexit"}
    if role.server == "uwsgi":
        return _uwsgi_table(process)
    if role.server == "gunicorn":
        return both, ("a worker killed for its timeout", _KILL, _OS_EXIT)
    if role.server == "celery":
        if role.name.startswith("child"):
            ends = ("a hard time limit", _KILL, _OS_EXIT)
            return {"celery worker_process_shutdown"}, ends
        return both, ("a cold shutdown (SIGQUIT)", _KILL, _OS_EXIT)
    if role.server == "multiprocessing":
        ends = ("Process.terminate and Pool.terminate", _KILL, _OS_EXIT)
        # Children of fork and forkserver end by os._exit; 3.13 runs what they registered before.
        has_atexit = role.model == "spawn" or version >= (3, 13)
        return both if has_atexit else {"threading._register_atexit"}, ends
    term = ("SIGTERM (no handler is set)",) if process.dies_of_term else ()
    return both, (*term, _KILL, _OS_EXIT)


def _uwsgi_table(process: Process) -> tuple[set[str], tuple[str, ...]]:
    options = process.uwsgi_options
    is_master = process.role.is_loader and "no master" not in process.role.model
    is_async = "async" in options and "gevent" not in options
    if is_master or "skip-atexit" in options or is_async:
        return set(), ("every end",)
    ends = ["TERM, INT or reload while it is busy with a request", _KILL, _OS_EXIT]
    if "harakiri" in options:
        ends.insert(1, "harakiri")
    if "gevent" in options or "skip-atexit-teardown" in options:
        return {"uwsgi.atexit"}, tuple(ends)
    return {"uwsgi.atexit", "threading._register_atexit", "atexit"}, tuple(ends)
