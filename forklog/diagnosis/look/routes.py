"""Walks the loggers of this process and their handlers for the doctor: who gets which records."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from forklog.diagnosis.facts import Neighbour, Routes
from forklog.diagnosis.look.handlers import describe
from forklog.handler import CloudLoggingHandler
from forklog.options import Options
from forklog.structured import StructuredLogHandler

# Handlers that send to Cloud Logging too, or print what an agent of the platform sends there.
_SHIPS = (
    "google.cloud.logging_v2.handlers.handlers.CloudLoggingHandler",
    "google.cloud.logging.handlers.handlers.CloudLoggingHandler",
    "google.cloud.logging.handlers.CloudLoggingHandler",
    "google.cloud.logging_v2.handlers.CloudLoggingHandler",
    "google.cloud.logging_v2.handlers.app_engine.AppEngineHandler",
)
_PRINTS = (
    "google.cloud.logging_v2.handlers.structured_log.StructuredLogHandler",
    "google.cloud.logging_v2.handlers.container_engine.ContainerEngineHandler",
    "google.cloud.logging.handlers.StructuredLogHandler",
    "google.cloud.logging_v2.handlers.StructuredLogHandler",
    "logging.StreamHandler",
)
FOR_AGENT = "agent"
"""The effect of forklog's own `StructuredLogHandler`."""
_COLLECTED = (1, 2)  # the descriptors of stdout and stderr
# Loggers that exist before any configuration, and that people do not read.
_NOT_ASKED = ("asyncio", "concurrent", "google", "requests", "urllib3", "charset_normalizer")
_EFFECTS = {
    **dict.fromkeys(_SHIPS, "ships"),
    **dict.fromkeys(_PRINTS, "printed"),
    "logging.FileHandler": "",  # a stream, but no platform collects it
    "logging.handlers.QueueHandler": "queue",
    "logging.handlers.MemoryHandler": "holds",
}


class Applied(NamedTuple):
    """What became of a configuration that the command has applied."""

    error: str = ""
    """Why it cannot be applied; empty if it was."""
    disables_existing: bool = False
    is_given: bool = True


NOT_APPLIED = Applied(is_given=False)


class Standin(logging.Handler):
    """Stands in a configuration that is only examined where a handler of others would be."""

    def __init__(self, kind: str, behind: Sequence[str] = ()) -> None:
        """Take the name of the class, and of the handlers that it hands its records on to."""
        super().__init__()
        self.kind = kind
        self.behind = tuple(behind)

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing with a record."""


def made() -> Iterator[logging.Handler]:
    """Yield the handlers that this process has made, attached or not."""
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]  # noqa: SLF001
        handler = reference() if callable(reference) else reference
        if handler is not None:
            yield handler


def our_handlers() -> dict[CloudLoggingHandler, list[str]]:
    """Return the handlers of forklog with their loggers; none for those attached to no logger."""
    found: dict[CloudLoggingHandler, list[str]] = {}
    for handler in made():
        if isinstance(handler, CloudLoggingHandler):
            found.setdefault(handler, [])
    for name, logger in _loggers():
        for handler in logger.handlers:
            if isinstance(handler, CloudLoggingHandler):
                found.setdefault(handler, []).append(name)
    return found


def look_at_routes(applied: Applied) -> Routes:
    """Look at all loggers of this process, configured by itself or by us. Never blocks."""
    ours = our_handlers()
    neighbours = tuple(_neighbours(ours))
    is_any = bool(ours) or any(n.effect == FOR_AGENT for n in neighbours)
    disabled = logging.root.manager.disable
    return Routes(
        handlers=tuple(describe(handler, names) for handler, names in ours.items()),
        neighbours=neighbours,
        doubled=tuple(name for name, logger in _loggers() if _is_doubled(logger)),
        unreached=tuple(name for name, logger in _loggers() if is_any and _is_unreached(logger)),
        disabled=tuple(name for name, logger in _loggers() if _is_disabled(name, logger)),
        root_level=logging.getLevelName(logging.root.level),
        disabled_below=logging.getLevelName(disabled) if disabled else "",
        disables_existing=applied.disables_existing,
        config_error=applied.error,
        has_config=applied.is_given,
    )


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield "root", logging.root
    for name, logger in sorted(logging.root.manager.loggerDict.copy().items()):
        if isinstance(logger, logging.Logger):  # else it only keeps a place in the tree
            yield name, logger


def _path(logger: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the handlers that a record of this logger reaches."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None


def _destination(options: Options) -> tuple[Any, ...]:
    return options.endpoint, options.project, options.log_name


def _is_doubled(logger: logging.Logger) -> bool:
    """Tell whether a record goes to one log twice, by what this logger itself adds to its path."""
    reached = [_target(handler) for handler in _path(logger)]
    here = [_target(handler) for handler in logger.handlers]
    return any(target is not None and reached.count(target) > 1 for target in here)


def _target(handler: logging.Handler) -> object:
    if isinstance(handler, CloudLoggingHandler):
        return _destination(handler.describe().options)
    return FOR_AGENT if is_for_agent(handler) else None


def _is_unreached(logger: logging.Logger) -> bool:
    if all(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        return False
    return not reaches_ours(logger)


def reaches_ours(logger: logging.Logger) -> bool:
    """Tell whether the records of a logger reach a handler of forklog."""
    return any(
        isinstance(h, CloudLoggingHandler) or is_for_agent(h) or _behind(h, set())
        for h in _path(logger)
    )


def is_for_agent(handler: logging.Handler) -> bool:
    """Tell whether it is forklog's `StructuredLogHandler`, on a stream that an agent collects."""
    if not isinstance(handler, StructuredLogHandler):
        return False
    if handler.stream is sys.__stdout__:  # what stands in it where no stream was given
        return True
    try:
        return handler.stream.fileno() in _COLLECTED
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def has_printer() -> bool:
    """Tell whether a logger of this process has such a handler."""
    return any(is_for_agent(handler) for _, logger in _loggers() for handler in logger.handlers)


def _is_disabled(name: str, logger: logging.Logger) -> bool:
    return logger.disabled and not name.startswith(_NOT_ASKED)


def _neighbours(ours: dict[CloudLoggingHandler, list[str]]) -> Iterator[Neighbour]:
    unattached = {handler for handler, names in ours.items() if not names}
    found: dict[logging.Handler, list[str]] = {}
    for name, logger in _loggers():
        for handler in logger.handlers:
            if not isinstance(handler, CloudLoggingHandler):
                found.setdefault(handler, []).append(name)
    for handler, names in found.items():
        effect = _effect(handler)
        if effect:
            yield Neighbour(
                kind=_kind(handler),
                loggers=tuple(names),
                effect=effect,
                has_ours_behind=effect in ("queue", "holds") and _behind(handler, unattached),
            )


def _kind(handler: logging.Handler) -> str:
    if isinstance(handler, Standin):
        return handler.kind
    return f"{type(handler).__module__}.{type(handler).__qualname__}"


def _effect(handler: logging.Handler) -> str:
    if isinstance(handler, Standin):
        return _EFFECTS.get(handler.kind, "")
    if isinstance(handler, StructuredLogHandler):
        return FOR_AGENT if is_for_agent(handler) else ""
    names = (f"{c.__module__}.{c.__qualname__}" for c in type(handler).__mro__)
    return next((_EFFECTS[name] for name in names if name in _EFFECTS), "")


def _behind(handler: logging.Handler, unattached: set[CloudLoggingHandler]) -> bool:
    """Tell whether a handler hands its records on to one of ours.

    A QueueHandler knows its listener only if `dictConfig` of Python 3.12 or later has made it. Else
    a handler of ours that no logger has is taken to be the listener's.
    """
    if isinstance(handler, Standin):
        return any(ours.get_name() in handler.behind for ours in our_handlers())
    target = getattr(handler, "target", None)
    if isinstance(target, CloudLoggingHandler):
        return True
    if not isinstance(handler, logging.handlers.QueueHandler):
        return False
    listener = getattr(handler, "listener", None)
    if listener is not None:
        return any(isinstance(h, CloudLoggingHandler) for h in listener.handlers)
    return bool(unattached)
