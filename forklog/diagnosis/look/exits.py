"""Which hooks run when a process of a role ends; the measured table of docs/process-models.md."""

from __future__ import annotations

import sys
from collections.abc import Collection

from forklog.diagnosis.facts import Ends, Hook, Process, Role
from forklog.process import exit_hooks, server_hooks

_UWSGI = "uwsgi.atexit"
_PYTHON = {"threading._register_atexit", "atexit"}
_SERVERS = server_hooks.SERVERS
_KILL = "SIGKILL (also of the out-of-memory killer)"


def look_at_ends(process: Process) -> Ends:
    """Say what runs at the end of the calling process, which is ``process``."""
    hooked = server_hooks.connected()
    if exit_hooks.is_hooked():
        hooked |= _PYTHON
    if process.has_own_atexit:
        hooked.add(_UWSGI)
    return ends_of(process, hooked, sys.version_info[:2])


def ends_of(process: Process, hooked: Collection[str], version: tuple[int, ...]) -> Ends:
    """Say what runs at the end of a process. Pure.

    Args:
        process: the process.
        hooked: where forklog has hooked in, here or in a process that forked this one.
        version: of Python, as (3, 12).
    """
    role = process.role
    firing, without = _table(process, version)
    names = [name for name in (_UWSGI, *(s.HOOK for s in _SERVERS.values())) if name in firing]
    if role.server == "uwsgi" and _UWSGI not in names:
        names.append(_UWSGI)
    ours = set(hooked)
    if role.server == "multiprocessing" and role.model != "spawn":
        ours.discard("atexit")  # cleared in a child that is forked
    hooks = (
        Hook(name=name, fires=name in firing, is_hooked=name in ours)
        for name in (*names, *sorted(_PYTHON, reverse=True))  # in the order in which they run
    )
    return Ends(hooks=tuple(hooks), without=without)


def _table(process: Process, version: tuple[int, ...]) -> tuple[set[str], tuple[str, ...]]:
    """Return the hooks that fire in this role, and the ends that run none."""
    role = process.role
    if role.server == "uwsgi":
        return _uwsgi_table(process)
    firing, first = _framework_table(role)
    if role.server == "multiprocessing":
        first = "Process.terminate and Pool.terminate"
        # Children of fork and forkserver end by os._exit; 3.13 runs what they registered before.
        has_atexit = role.model == "spawn" or version >= (3, 13)
        firing = _PYTHON if has_atexit else _PYTHON - {"atexit"}
    elif process.dies_of_term and role.server in ("plain", "fork"):
        first = "SIGTERM (no handler is set)"
    return firing, tuple(filter(None, (first, _KILL, "os._exit")))


def _framework_table(role: Role) -> tuple[set[str], str]:
    """Return the hooks that fire, and the end to think of first that runs none."""
    if role.server == "celery":
        if role.name.startswith("child"):
            return {_SERVERS["celery"].HOOK}, _SERVERS["celery"].ENDS_WITHOUT_HOOK[0]
        return _PYTHON, "a cold shutdown (SIGQUIT)"
    if role.server == "rq" and role.name == "work horse":
        return {_SERVERS["rq"].HOOK}, _SERVERS["rq"].ENDS_WITHOUT_HOOK[0]
    if role.server == "uvicorn" or "Uvicorn" in role.name:
        return {_SERVERS["uvicorn"].HOOK}, _SERVERS["uvicorn"].ENDS_WITHOUT_HOOK[0]
    return _PYTHON, _SERVERS["gunicorn"].ENDS_WITHOUT_HOOK[0] if role.server == "gunicorn" else ""


def _uwsgi_table(process: Process) -> tuple[set[str], tuple[str, ...]]:
    options = process.uwsgi_options
    is_master = process.role.is_loader and "no master" not in process.role.model
    is_async = "async" in options and "gevent" not in options
    is_spooler = process.role.name == "spooler"  # uWSGI ends it by SIGKILL
    if is_master or is_spooler or "skip-atexit" in options or is_async:
        return set(), ("every end",)
    ends = ["TERM, INT or reload while it is busy with a request", _KILL, "os._exit"]
    if "harakiri" in options:
        ends.insert(1, "harakiri")
    if "gevent" in options or "skip-atexit-teardown" in options:
        return {_UWSGI}, tuple(ends)
    return {_UWSGI, *_PYTHON}, tuple(ends)
