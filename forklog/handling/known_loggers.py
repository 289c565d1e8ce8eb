"""Puts a handler on the loggers of frameworks that do not reach the root logger, for `install`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from forklog.context import connections
from forklog.process import server_hooks
from forklog.process.servers import celery

_KNOWN: dict[str, tuple[str, ...]] = {
    **{name: server.LOGGERS for name, server in server_hooks.SERVERS.items()},
    "django": ("django", "django.request", "django.server"),
    "flask": ("werkzeug",),
    "aiohttp": ("aiohttp.access", "aiohttp.server"),
    "hypercorn": ("hypercorn.error", "hypercorn.access"),
}
"""By the module that makes them."""
KEPT_OUT = ("google.cloud", "google.auth", "google_auth_httplib2", "google.api_core.bidi")
"""Loggers of Google's clients, which the stock handler keeps out as well."""
_for_celery: list[tuple[logging.Handler, int]] = []  # of the last setup
_propagate = attrgetter("propagate")
_watched: list[logging.Logger] = []  # the known ones at the last look
_flags: list[bool] = []  # and whether they propagated
_attached: dict[logging.Handler, dict[str, object]] = {}  # of the last setup, with its loggers


def attach(handler: logging.Handler) -> list[str]:
    """Add a handler to each known logger whose records do not reach the root logger.

    Those that a framework configures later get it as well, at the beginning of a request or with
    the first record after ``dictConfig``.

    Returns:
        The names of the loggers that have it now.
    """
    found = [name for name in _ends() if _add(name, handler)]
    _attached.clear()
    _attached[handler] = dict.fromkeys(found)
    connections.ALSO[:], connections.CHANGES[:] = [_attach_later], [_has_changed]
    connections.look_again()
    return found


def detach(handler: logging.Handler) -> None:
    """Take a handler off all known loggers, those of celery too."""
    _attached.pop(handler, None)
    for name in (name for names in _KNOWN.values() for name in names):
        logging.getLogger(name).removeHandler(handler)


def closed(handler: logging.Handler) -> None:
    """Take note that a handler was closed: ``dictConfig`` does so, and takes it off loggers."""
    if handler in _attached:
        _attached[handler] = {}
        connections.look_again()


def _attach_later() -> bool:
    """Add the handler of the last setup to loggers that were configured since.

    Waits for no lock, since a log call may come here; `dictConfig` holds that of logging for long.

    A logger from which the application has taken the handler stays without, until a ``dictConfig``.
    So does one without a handler, or with a NullHandler alone: the application keeps it silent.

    Returns:
        Whether all was seen; not while logging is configured.
    """
    # Not by a try to acquire it: an exception that strikes then would leave it locked.
    if repr(getattr(logging, "_lock", None)).startswith("<locked"):
        return False
    token = object()
    _watched[:] = [_known(name) for name in _names()]
    _flags[:] = map(_propagate, _watched)
    for handler, names in list(_attached.items()):
        if handler not in logging.getLogger().handlers:
            continue
        for logger in map(_known, _ends()):
            is_new = _is_loud(logger) and handler not in _handlers_of(logger)
            # The name decides which of two threads does it; addHandler would take the lock.
            if is_new and names.setdefault(logger.name, token) is token:
                logger.handlers.append(handler)
    return True


def _has_changed() -> bool:
    """Tell whether a known logger began to keep its records, as hypercorn's do at its start."""
    return list(map(_propagate, _watched)) != _flags


def _is_loud(logger: logging.Logger) -> bool:
    return not all(isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def have_any(handlers: Sequence[logging.Handler]) -> bool:
    """Tell whether any logger has one of these handlers. Takes no lock."""
    known = list(logging.Logger.manager.loggerDict.values())
    loggers: Iterable[Any] = (logging.getLogger(), *known)
    return any(handler in getattr(each, "handlers", ()) for each in loggers for handler in handlers)


def connect_celery(handler: logging.Handler, level: int) -> bool:
    """Add a handler again wherever celery sets up logging; it replaces the root's handlers.

    Returns:
        Whether celery is there.
    """
    signals = sys.modules.get(celery.MODULE)
    if signals is None:
        return False
    _for_celery[:] = [(handler, level)]
    celery.connect_logging(signals, _after_setup)
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


def _known(name: str) -> logging.Logger:
    """Return a logger; takes the lock of logging only for one that is new."""
    found = logging.Logger.manager.loggerDict.get(name)
    return found if isinstance(found, logging.Logger) else logging.getLogger(name)


def _add(name: str, handler: logging.Handler) -> bool:
    logger = logging.getLogger(name)
    is_new = handler not in _handlers_of(logger)
    logger.addHandler(handler)
    return is_new


def _ends() -> list[str]:
    """Return the loggers at which the records of those end that the process has, without root."""
    return [name for name in dict.fromkeys(map(_end_of, _names())) if name]


def _names() -> list[str]:
    return [name for module in _KNOWN if module in sys.modules for name in _KNOWN[module]]


def _end_of(name: str) -> str:
    """Return the logger at which the records of a logger end; nothing if that is the root."""
    logger: logging.Logger | None = _known(name)
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
