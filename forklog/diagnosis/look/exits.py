"""Tells the doctor which exit hooks run in a process of a role (docs/process-models.md)."""

from __future__ import annotations

import sys
from collections.abc import Collection

from forklog.diagnosis.facts import Exits, Hook, Process
from forklog.process import exit_hooks, server_hooks
from forklog.process.servers import uvicorn, uwsgi

_UWSGI = uwsgi.HOOK
_PYTHON = {"threading._register_atexit", "atexit"}
_KILL = "SIGKILL (also of the out-of-memory killer)"


def look_at_exits(process: Process) -> Exits:
    """Say what runs at the end of the calling process, which is ``process``."""
    hooked = server_hooks.connected()
    if exit_hooks.is_hooked():
        hooked |= _PYTHON
    if process.has_own_atexit:
        hooked.add(_UWSGI)
    return exits_of(process, hooked, sys.version_info[:2])


def exits_of(process: Process, hooked: Collection[str], version: tuple[int, ...]) -> Exits:
    """Say what runs at the end of a process. Pure.

    Args:
        process: the process.
        hooked: where forklog has hooked in, here or in a process that forked this one.
        version: of Python, as (3, 12).
    """
    role = process.role
    firing, without = _table(process, version)
    names = [server.HOOK for server in server_hooks.ALL.values() if server.HOOK in firing]
    if role.server == "uwsgi" and _UWSGI not in names:
        names.append(_UWSGI)
    ours = set(hooked)
    if role.server == "multiprocessing" and role.model != "spawn":
        ours.discard("atexit")  # cleared in a child that is forked
    hooks = (
        Hook(name=name, fires=name in firing, is_hooked=name in ours)
        for name in (*names, *sorted(_PYTHON, reverse=True))  # in the order in which they run
    )
    return Exits(hooks=tuple(hooks), without=without)


def _table(process: Process, version: tuple[int, ...]) -> tuple[set[str], tuple[str, ...]]:
    """Return the hooks that fire in this role, and the ends that run none."""
    role = process.role
    firing, first = _server_table(process)
    if not firing:
        return set(), ("every end",)
    if role.server == "multiprocessing":
        first = ("Process.terminate and Pool.terminate",)
        # Children of fork and forkserver end by os._exit; 3.13 runs what they registered before.
        has_atexit = role.model == "spawn" or version >= (3, 13)
        firing = _PYTHON if has_atexit else _PYTHON - {"atexit"}
    elif process.dies_of_term and role.server in ("plain", "fork"):
        first = ("SIGTERM (no handler is set)",)
    return firing, (*first, _KILL, "os._exit")


def _server_table(process: Process) -> tuple[set[str], tuple[str, ...]]:
    """Return the hooks that fire, and the ends of the server's own making that run none."""
    role = process.role
    is_uvicorn = role.server == "gunicorn" and uvicorn.is_worker(role.name)
    server = server_hooks.ALL.get("uvicorn" if is_uvicorn else role.server)
    if server is None:
        return _PYTHON, ()
    ends = server.ends(role.name, process.uwsgi_options)
    firing = {server.HOOK} if ends.runs_hook else set()
    return firing | (_PYTHON if ends.runs_pythons else set()), ends.without
