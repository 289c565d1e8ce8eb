"""Applies a logging configuration so that it can be examined: ours for real, others as stand-ins.

Other handlers may open files or connections when they are made; nothing of that is wanted here.
"""

from __future__ import annotations

import importlib
import json
import logging.config
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forklog.diagnosis.look.routes import Applied, Standin, made
from forklog.errors import ForklogError
from forklog.handler import CloudLoggingHandler
from forklog.structured import StructuredLogHandler

# Keeps the handlers alive: one behind another is held by that one, but not by its stand-in.
_applied: list[logging.config.DictConfigurator] = []
_OURS = (CloudLoggingHandler, StructuredLogHandler)
_NAMES = ("LOGGING", "logconfig_dict", "LOGGING_CONFIG")


class ConfigError(ForklogError):
    """The configuration cannot be found or read."""


def load(place: str) -> dict[str, Any]:
    """Load a configuration.

    Args:
        place: ``FILE.json``, ``FILE.py`` (its ``LOGGING`` or ``logconfig_dict``), ``FILE.py:NAME``
            or ``MODULE:NAME``; the modules of the current folder can be imported.

    Raises:
        ConfigError: it cannot be found, or is no dict.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    source, _, name = place.partition(":")
    try:
        found = _found(source, name)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{place}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise ConfigError(f"{place} is {type(found).__name__}, not a dict as dictConfig takes it")
    if not isinstance(found.get("handlers") or {}, Mapping):
        kind = type(found["handlers"]).__name__
        raise ConfigError(f"{place}: its 'handlers' is {kind}, not a dict as dictConfig takes it")
    return dict(found)


def _found(source: str, name: str) -> object:
    if source.endswith(".json"):
        return json.loads(Path(source).read_text("utf-8"))
    if source.endswith(".py"):
        values: Mapping[str, Any] = runpy.run_path(source)
    elif name:
        values = vars(importlib.import_module(source))
    else:
        raise ConfigError(f"{source!r} is no FILE.json, FILE.py or MODULE:NAME")
    for candidate in (name,) if name else _NAMES:
        if candidate in values:
            return values[candidate]
    raise ConfigError(f"{source} has no {name or ' or '.join(_NAMES)}")


def apply(config: Mapping[str, Any]) -> Applied:
    """Configure logging of this process, whose own loggers stay as they are. Never raises."""
    disables = bool(config.get("disable_existing_loggers", True))
    try:
        handlers = dict(config.get("handlers") or {}).items()
        made_up = {name: h if _is_ours(h) else _stand_in(h) for name, h in handlers}
        copy = {"version": 1, **config, "handlers": made_up, "disable_existing_loggers": False}
        configurator = logging.config.dictConfigClass(copy)
        configurator.configure()
    except SystemExit as error:
        return Applied(f"SystemExit: {error}", disables)
    except Exception as error:  # noqa: BLE001 - it becomes a finding
        cause = error.__cause__
        return Applied(f"{error}" + (f" ({cause})" if cause else ""), disables)
    _applied.append(configurator)
    for handler in made():  # what is logged here is not the application's
        if isinstance(handler, _OURS):
            handler.addFilter(lambda _record: False)
    return Applied("", disables)


def _stand_in(handler: Any) -> Any:
    if not isinstance(handler, Mapping):
        return handler
    kept = {key: handler[key] for key in ("level", "filters") if key in handler}
    kind = str(handler.get("class") or handler.get("()"))
    behind = [*_names(handler.get("target")), *_names(handler.get("handlers"))]
    return {"()": Standin, "kind": kind, "behind": behind, **kept}


def _names(value: Any) -> list[str]:
    """Return the handlers that a MemoryHandler or a QueueHandler hands records on to."""
    return [value] if isinstance(value, str) else list(value or ())


def _is_ours(handler: Any) -> bool:
    """Tell whether a handler's configuration names a class of ours, or one derived from it."""
    kind = handler.get("class") or handler.get("()") if isinstance(handler, Mapping) else None
    if isinstance(kind, str):
        try:
            kind = logging.config.BaseConfigurator({}).resolve(kind)
        except Exception:  # noqa: BLE001 - a stand-in need not be importable
            return False
    return isinstance(kind, type) and issubclass(kind, _OURS)
