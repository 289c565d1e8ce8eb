"""Beside the fork gate: what uWSGI says about this process, and its hooks.

uWSGI forks in C and by default runs no at-fork callback of Python, so a process has to be asked
what it is. Nothing here is cached: worker 1 of a server without master changes its role without
changing its PID.
"""

from __future__ import annotations

import contextlib
import enum
import os
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from forklog.process.servers.processes import Ends, Found

try:
    import uwsgi as _uwsgi  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    _uwsgi = None

_imported_by = os.getpid()
HOOK = "uwsgi.atexit"
LOGGERS = ()
MUST_REACH = ()
REPLACES_ROOT = False
KILLS = "uWSGI kills a worker that is busy at TERM, or outlives its reload mercy"
IS_WEB = True
SPOOLER = "spooler"
_MASTER, _FIRST = "master, before its workers", "first process"
_WORKER, _MULE = "worker", "mule"
_OF_MASTER, _OF_WORKER = "child of the master", "child of uWSGI worker"
PROCESSES = (_MASTER, _FIRST, _WORKER, _MULE, SPOOLER, _OF_MASTER, _OF_WORKER)
OFF = ("false", "off", "no", "0")
"""What an option of uWSGI is set to that is off."""


class Role(enum.Enum):
    """Which of uWSGI's processes this one is; `NONE` outside uWSGI."""

    NONE = "none"
    LOADER = "loader"
    """Loads the app and forks the workers later: the master, or the first process of a server
    without one."""
    WORKER = "worker"
    MULE = "mule"
    SPOOLER = "spooler"


def imported_by() -> int:
    """Return the PID of the process that imported forklog: this one, or one that forked it."""
    return _imported_by


def module() -> Any:
    """Return the module that uWSGI makes in its processes; None elsewhere."""
    return _uwsgi


def is_present() -> bool:
    """Tell whether this process runs inside uWSGI."""
    return _uwsgi is not None


def role() -> Role:
    """Ask uWSGI for the role of this process. Never blocks."""
    if _uwsgi is None:
        return Role.NONE
    if _uwsgi.worker_id() >= 1:
        return Role.WORKER
    if _uwsgi.mule_id() >= 1:
        return Role.MULE
    master = _uwsgi.masterpid()
    if master and master == os.getppid() != os.getpid():
        return Role.SPOOLER
    if os.getpid() == (master or _imported_by):
        return Role.LOADER
    # Forked by one of them with os.fork. A child of a worker keeps the worker's numbers; the others
    # end here, and have to send what they log like any process.
    return Role.WORKER


def worker_id() -> int:
    """Return the number of this worker process, 0 in all others."""
    return _uwsgi.worker_id() if _uwsgi is not None else 0


def has_threads() -> bool:
    """Tell whether Python threads run in this server (``enable-threads``)."""
    return _uwsgi is None or bool(getattr(_uwsgi, "has_threads", True))


def detect(_selves: Callable[[], Iterable[object]]) -> Found | None:
    """Ask uWSGI for its numbers of this process."""
    asked = role()
    if asked is Role.NONE:
        return None
    master, number = _uwsgi.masterpid(), _uwsgi.worker_id()
    if number and os.getpid() not in [worker["pid"] for worker in _uwsgi.workers()]:
        known_by = f"worker_id {number}, but no worker has the pid {os.getpid()}"
        return Found(f"{_OF_WORKER} {number}", "os.fork", known_by, is_forked=True)
    model = "lazy-apps" if is_on("lazy-apps") or is_on("lazy") else "prefork"
    if not master:
        model += ", no master"
    process = {
        Role.LOADER: _MASTER if master else _FIRST,
        Role.MULE: f"{_MULE} {_uwsgi.mule_id()}",
        Role.SPOOLER: SPOOLER,
    }.get(asked, f"{_WORKER} {number}" if number else _OF_MASTER)
    known_by = f"worker_id {number}, masterpid {master}, pid {os.getpid()}"
    if imported_by() != os.getpid():
        known_by += f"; the app was loaded by process {imported_by()}"
    return Found(process, model, known_by, is_loader=asked is Role.LOADER)


def is_on(option: str) -> bool:
    """Tell whether an option of uWSGI is set; a flag may be set to ``false``."""
    value = getattr(_uwsgi, "opt", {}).get(option, False)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.lower() not in OFF


def ends(process: str, options: Collection[str] = ()) -> Ends:
    """Say which hooks run at the end, by those of the server's options that are set."""
    is_async = "async" in options and "gevent" not in options
    # It ends its spoolers by SIGKILL.
    if process in (_MASTER, SPOOLER) or is_async or "skip-atexit" in options:
        return Ends(runs_hook=False, runs_pythons=False)
    without = ["TERM, INT or reload while it is busy with a request"]
    if "harakiri" in options:
        without.append("harakiri")
    keeps_python = "gevent" in options or "skip-atexit-teardown" in options
    return Ends(runs_hook=True, runs_pythons=not keeps_python, without=tuple(without))


def time_limit() -> str:
    """Name none: harakiri is one of uWSGI's options."""
    return ""


def chain_hook(name: str, callback: Callable[[], object], *, again: bool = False) -> None:
    """Have uWSGI call ``callback`` at ``post_fork_hook`` or ``atexit``, before what was set there.

    Calling it again for a hook that is still in place changes nothing. One that was overwritten
    meanwhile (uwsgidecorators does so when it is imported) is put back in front.

    Args:
        name: of the hook, an attribute of the module ``uwsgi``.
        callback: must not raise.
        again: call it once more after what was set there, which may have logged.
    """
    if _uwsgi is None:
        return
    previous: Any = getattr(_uwsgi, name, None)
    if getattr(previous, "forklog_callback", None) is callback:
        return

    def hook() -> None:
        callback()
        if previous is None:
            return
        try:
            previous()
        finally:
            if again:
                callback()

    hook.forklog_callback = callback  # type: ignore[attr-defined]
    setattr(_uwsgi, name, hook)


_after_fork: list[Callable[[], object]] = []


def after_fork(callback: Callable[[], object]) -> None:
    """Have ``callback`` run early in every process that uWSGI forks from now on; keeps it alive."""
    if callback not in _after_fork:
        _after_fork.append(callback)
    chain_hook("post_fork_hook", _run_after_fork)


def adopt_at_start(callback: Callable[[], object]) -> None:
    """Have ``callback`` run early in each worker: a server may be idle when it starts one anew."""
    if role() is Role.LOADER:
        after_fork(callback)


def has_after_fork() -> bool:
    """Tell whether a callback waits for uWSGI to fork."""
    return bool(_after_fork)


def _run_after_fork() -> None:
    for callback in tuple(_after_fork):
        with contextlib.suppress(Exception):  # uWSGI would print it, and skip the others
            callback()


class _Inline(Protocol):
    def flush_request(self) -> None: ...


def after_request(sender: _Inline) -> None:
    """Have ``sender.flush_request()`` called at the end of each request, where threads are off.

    uWSGI looks for this hook once, after the app was loaded: `prepare_requests` has put ours there.
    """
    _after_request.add(sender)


def prepare_requests() -> None:
    """Take uWSGI's after-request hook while the app loads, if threads are off in this server."""
    if not has_threads():
        chain_hook("after_req_hook", _run_after_request)


_after_request: weakref.WeakSet[_Inline] = weakref.WeakSet()


def _run_after_request() -> None:
    for sender in list(_after_request):
        with contextlib.suppress(Exception):
            sender.flush_request()
