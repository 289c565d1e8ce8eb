"""Where uWSGI ends a worker for the exception of a request (``reload-on-exception``)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from forklog.process.servers import uwsgi

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
    known: dict[Any, Any] = getattr(uwsgi.module(), "opt", {})
    found = known.get(name, known.get(name.encode(), []))
    values = found if isinstance(found, list) else [found]
    texts = {v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values}
    return texts - {*uwsgi.OFF}


def _ends_worker(error: BaseException) -> bool:
    """Tell whether uWSGI ends this worker for an exception, which it prints now.

    It does so for requests alone. What it compares with the options is the text of the exception,
    for each of the three. Versions to come may compare what their names promise.
    """
    try:
        worker = uwsgi.module().workers()[uwsgi.module().worker_id() - 1]
        if uwsgi.module().worker_id() < 1 or worker["status"] not in (b"busy", "busy"):
            return False
        if _options("reload-on-exception"):
            return True
        kind, text = type(error), str(error)
        names = (kind.__name__, f"{kind.__module__}.{kind.__name__}")
        shown = {text, *names, *(f"{name}: {text}" for name in names)}
        return any(shown & _options(name) for name in _RELOADS)
    except Exception:  # noqa: BLE001 - the exception of the application's is what counts
        return False
