"""Takes exceptions that nothing has caught, from any thread, and logs them; set up by `install`."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from types import TracebackType
from typing import Any

_LOGGER = "uncaught"
_MARK = "_forklog_uncaught"


def log_uncaught() -> str:
    """Have `sys.excepthook` and `threading.excepthook` log first, then do what they did.

    A ``KeyboardInterrupt`` is not logged. A second call does nothing.

    Returns:
        What was done, for people.
    """
    if not hasattr(sys.excepthook, _MARK):
        sys.excepthook = _marked(_of_program(sys.excepthook))
    if not hasattr(threading.excepthook, _MARK):
        threading.excepthook = _marked(_of_threads(threading.excepthook))
    return "uncaught exceptions: logged, of threads as well"


def _marked(hook: Any) -> Any:
    setattr(hook, _MARK, True)
    return hook


def _of_program(earlier: Any) -> Any:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _log("uncaught exception", (kind, error, trace))
        earlier(kind, error, trace)

    return hook


def _of_threads(earlier: Any) -> Any:
    def hook(args: Any) -> None:
        if args.exc_type is not SystemExit:
            name = getattr(args.thread, "name", None)
            text = f"uncaught exception in thread {name}"
            _log(text, (args.exc_type, args.exc_value, args.exc_traceback))
        earlier(args)

    return hook


def _log(text: str, exc_info: Any) -> None:
    if not issubclass(exc_info[0], KeyboardInterrupt):
        with contextlib.suppress(Exception):  # a handler or a filter of the application's
            logging.getLogger(_LOGGER).critical(text, exc_info=exc_info)
