"""The loggers of frameworks and servers that do not reach the root logger, and those kept out."""

from __future__ import annotations

import logging
import sys
from typing import Any

_KNOWN = {
    "uvicorn": ("uvicorn", "uvicorn.error", "uvicorn.access"),
    "gunicorn": ("gunicorn.error", "gunicorn.access"),
    "django": ("django", "django.request", "django.server"),
    "flask": ("werkzeug",),
    "aiohttp": ("aiohttp.access", "aiohttp.server"),
    "hypercorn": ("hypercorn.error", "hypercorn.access"),
    "celery": ("celery", "celery.task", "celery.worker"),
    "rq": ("rq.worker",),
}
"""By the module that makes them."""
KEPT_OUT = ("google.cloud", "google.auth", "google_auth_httplib2", "google.api_core.bidi")
"""Loggers of Google's clients, which the stock handler keeps out as well."""
_CELERY = "celery.signals"
_UID = "forklog.setup"
_for_celery: list[tuple[logging.Handler, int]] = []  # of the last setup


def attach(handler: logging.Handler) -> list[str]:
    """Add a handler to each known logger whose records do not reach the root logger.

    Returns:
        The names of the loggers that have it now.
    """
    attached = []
    for module, names in _KNOWN.items():
        if module in sys.modules:
            attached += [name for name in map(_end_of, names) if name and _add(name, handler)]
    return attached


def connect_celery(handler: logging.Handler, level: int) -> bool:
    """Add a handler again wherever celery sets up logging; it replaces the root's handlers.

    Returns:
        Whether celery is there.
    """
    signals: Any = sys.modules.get(_CELERY)
    if signals is None:
        return False
    _for_celery[:] = [(handler, level)]
    for name in ("after_setup_logger", "after_setup_task_logger"):
        getattr(signals, name).connect(_after_setup, weak=False, dispatch_uid=_UID)
    return True


def _after_setup(logger: logging.Logger, **_signal: Any) -> None:
    """Add the handler; celery's own handlers on the logger stay at celery's level."""
    handler, level = _for_celery[0]
    if logger.level > level:
        for other in logger.handlers:
            if other.level < logger.level:
                other.setLevel(logger.level)
        logger.setLevel(level)
    if handler not in _handlers_of(logger):
        logger.addHandler(handler)


def keep_out() -> None:
    """Have the records of Google's clients reach no handler of the root logger."""
    for name in KEPT_OUT:
        logging.getLogger(name).propagate = False


def _add(name: str, handler: logging.Handler) -> bool:
    logger = logging.getLogger(name)
    is_new = handler not in _handlers_of(logger)
    logger.addHandler(handler)
    return is_new


def _end_of(name: str) -> str:
    """Return the logger at which the records of a logger end; nothing if that is the root."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger.propagate and logger.parent is not None:
        logger = logger.parent
    return "" if logger is None or logger.parent is None else logger.name


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that the records of a logger reach."""
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        found += current.handlers
        current = current.parent if current.propagate else None
    return found
