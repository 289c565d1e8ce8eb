"""Describes this process for the doctor: role, threads, forks, uWSGI, platform."""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
from collections.abc import Mapping
from types import CellType
from typing import Any

from forklog.diagnosis.facts import Process
from forklog.diagnosis.look.role import role_here
from forklog.process import server_hooks
from forklog.process.base import PidMark, new_mark
from forklog.process.servers import uwsgi

_OPTIONS = (
    "async",
    "enable-threads",
    "gevent",
    "harakiri",
    "lazy",
    "lazy-apps",
    "max-requests",
    "py-call-osafterfork",
    "py-call-uwsgi-fork-hooks",
    "single-interpreter",
    "skip-atexit",
    "skip-atexit-teardown",
    "threads",
)
_PLATFORMS = {
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "K_SERVICE": "Cloud Run",
    "CLOUD_RUN_JOB": "Cloud Run",
    "GAE_SERVICE": "App Engine",
    "FUNCTION_TARGET": "Cloud Functions",
    "FUNCTION_NAME": "Cloud Functions",
}
_DEPTH = 4


def look_at_process(
    *, is_command: bool = False, environ: Mapping[str, str] = os.environ
) -> Process:
    """Look at the calling process. Never blocks."""
    role = role_here()
    sign = next((name for name in _PLATFORMS if environ.get(name)), "")
    is_uwsgi = role.server == "uwsgi"
    server = server_hooks.ALL.get(role.server)
    return Process(
        pid=os.getpid(),
        role=role,
        python=f"{platform.python_version()} ({sys.platform})",
        has_threads=uwsgi.has_threads(),
        other_threads=tuple(sorted(_other_threads())),
        has_fork_hooks=hasattr(os, "register_at_fork")
        and (not is_uwsgi or uwsgi.is_on("py-call-uwsgi-fork-hooks")),
        has_wipe=_wipes(is_safe=is_command),
        uwsgi_options=tuple(name for name in _OPTIONS if is_uwsgi and uwsgi.is_on(name)),
        has_own_fork_hook=not is_uwsgi or _has_own_fork_hook(),
        has_own_atexit=not is_uwsgi or _is_ours(getattr(uwsgi.module(), "atexit", None)),
        dies_of_term=_dies_of_term(),
        time_limit=server.time_limit() if server else "",
        platform=_PLATFORMS.get(sign, ""),
        platform_sign=sign,
        is_command=is_command,
    )


def _wipes(*, is_safe: bool) -> bool:
    """Tell whether the kernel wipes a marked page; see it in a child where a fork disturbs none."""
    mark = new_mark()
    if isinstance(mark, PidMark):
        return False
    if not is_safe or threading.active_count() > 1:
        return True  # the kernel has taken the order
    child = os.fork()
    if not child:
        os._exit(mark[0])
    return os.waitpid(child, 0)[1] == 0


def _other_threads() -> list[str]:
    main = threading.main_thread()
    names = [t.name for t in threading.enumerate() if t is not main]
    # "Dummy": made for a greenlet, or for a thread of C code that asked who it is.
    return [name for name in names if not name.startswith(("forklog", "Dummy-"))]


def _dies_of_term() -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _has_own_fork_hook() -> bool:
    """Tell whether uWSGI will call us, or need not: no handler holds, or held, records."""
    return not uwsgi.has_after_fork() or _is_ours(getattr(uwsgi.module(), "post_fork_hook", None))


def _is_ours(hook: Any, depth: int = _DEPTH) -> bool:
    """Tell whether a hook is ours, or was politely put before ours and calls it."""
    if hook is None or not depth:
        return False
    if getattr(hook, "forklog_callback", None) is not None:
        return True
    cells = getattr(hook, "__closure__", None) or ()
    inner = [cell.cell_contents for cell in cells if cell != CellType()]  # an empty one raises
    inner += getattr(hook, "__defaults__", None) or ()
    return any(callable(thing) and _is_ours(thing, depth - 1) for thing in inner)
