"""Beside the fork gate: what uWSGI says about this process, and its hooks.

uWSGI forks in C and by default runs no at-fork callback of Python, so a process has to be asked
what it is. Nothing here is cached: worker 1 of a server without master changes its role without
changing its PID.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sys
import weakref
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, NamedTuple, Protocol

try:
    import uwsgi as _uwsgi  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    _uwsgi = None

_imported_by = os.getpid()
HOOK = "uwsgi.atexit"


class Role(enum.Enum):
    """Which of uWSGI's processes this one is; `NONE` outside uWSGI."""

    NONE = "none"
    LOADER = "loader"
    """Loads the app and forks the workers later: the master, or the first process of a server
    without one."""
    WORKER = "worker"
    MULE = "mule"
    SPOOLER = "spooler"


class Ends(NamedTuple):
    """How a process of uWSGI ends."""

    runs_hook: bool
    """By `HOOK`."""
    runs_pythons: bool
    """By the hooks of Python, too."""
    without: tuple[str, ...]
    """The ends of uWSGI's own making at which nothing of ours runs."""


def imported_by() -> int:
    """Return the PID of the process that imported forklog: this one, or one that forked it."""
    return _imported_by


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


def ends(options: Collection[str], *, is_spooler: bool, is_master: bool) -> Ends:
    """Return what runs at the end of a process, by those of the server's options that are set."""
    is_async = "async" in options and "gevent" not in options
    # It ends its spoolers by SIGKILL.
    if is_master or is_spooler or is_async or "skip-atexit" in options:
        return Ends(runs_hook=False, runs_pythons=False, without=())
    without = ["TERM, INT or reload while it is busy with a request"]
    if "harakiri" in options:
        without.append("harakiri")
    keeps_python = "gevent" in options or "skip-atexit-teardown" in options
    return Ends(runs_hook=True, runs_pythons=not keeps_python, without=tuple(without))


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


_RELOADS = ("reload-on-exception-type", "reload-on-exception-value", "reload-on-exception-repr")


def before_reload_on_exception(callback: Callable[[], object]) -> None:
    """Have ``callback`` called where the exception of a request is about to end this worker.

    With ``reload-on-exception`` uWSGI ends a busy worker by ``exit()`` of C, which runs no hook of
    Python. It prints the exception right before, so `sys.excepthook` is the last that runs. Calling
    this again changes nothing while our hook is in place.

    Args:
        callback: must not raise. Runs after the excepthook that was set before.
    """
    if not any(_options(name) for name in ("reload-on-exception", *_RELOADS)):
        return
    previous = sys.excepthook
    if getattr(previous, "forklog_callback", None) is callback:
        return

    def hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None, /
    ) -> None:
        try:
            previous(kind, error, trace)
        finally:
            if _ends_worker(error):
                callback()

    hook.forklog_callback = callback  # type: ignore[attr-defined]
    sys.excepthook = hook


def _options(name: str) -> set[str]:
    """Return the values of one of uWSGI's options, which may be given several times."""
    known: dict[Any, Any] = getattr(_uwsgi, "opt", {})
    found = known.get(name, known.get(name.encode(), []))
    values = found if isinstance(found, list) else [found]
    texts = {v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values}
    return texts - {"false", "off", "no", "0"}


def _ends_worker(error: BaseException) -> bool:
    """Tell whether uWSGI ends this worker for an exception, which it prints now.

    It does so for requests alone. What it compares with the options is the text of the exception,
    for each of the three. Versions to come may compare what their names promise.
    """
    try:
        worker = _uwsgi.workers()[_uwsgi.worker_id() - 1]
        if _uwsgi.worker_id() < 1 or worker["status"] not in (b"busy", "busy"):
            return False
        if _options("reload-on-exception"):
            return True
        kind, text = type(error), str(error)
        names = (kind.__name__, f"{kind.__module__}.{kind.__name__}")
        shown = {text, *names, *(f"{name}: {text}" for name in names)}
        return any(shown & _options(name) for name in _RELOADS)
    except Exception:  # noqa: BLE001 - the exception of the application's is what counts
        return False


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
