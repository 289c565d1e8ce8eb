"""Describes the handlers of this process for the doctor: options without secrets, numbers."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

from forklog.diagnosis.facts import Handler
from forklog.handler import CloudLoggingHandler
from forklog.options import Options
from forklog.surface import Description
from forklog.transports.http import HttpTransport

_MAX_CHARS = 200


def describe(handler: CloudLoggingHandler, loggers: list[str]) -> Handler:
    """Describe a handler that is attached to these loggers. Starts nothing, sends nothing."""
    found = handler.describe()
    stats = found.stats
    numbers: dict[str, str | int | float] = {}
    for name, value in stats.as_dict().items():
        if isinstance(value, dict):
            numbers.update({f"{name}.{reason}": count for reason, count in value.items()})
        else:
            numbers[name] = value
    return Handler(
        name=handler.get_name() or type(handler).__name__,
        loggers=tuple(loggers),
        level=logging.getLevelName(handler.level),
        options=plain_options(found.options),
        transport=transport_name(found),
        state=stats.state,
        stats=tuple(numbers.items()),
        is_thread_alive=not found.has_lost_thread,
        mark="wiped page" if found.has_page else "PID",
    )


def transport_name(found: Description) -> str:
    """Return ``http``, or the class of another transport."""
    transport = found.transport
    return "http" if isinstance(transport, HttpTransport) else type(transport).__name__


def plain_options(options: Options) -> tuple[tuple[str, str | int | float], ...]:
    """Return every option as a number or a text; of credentials only what kind they are."""
    return tuple(
        (f.name, _plain(f.name, getattr(options, f.name))) for f in dataclasses.fields(options)
    )


def _plain(name: str, value: Any) -> str | int | float:
    if name == "credentials" and value is not None:
        is_path = isinstance(value, (str, os.PathLike)) and Path(value).is_file()
        return str(value) if is_path else type(value).__name__
    if name == "flush_level":
        return str(logging.getLevelName(value))
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return ""
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return str(value)[:_MAX_CHARS]
