"""The handlers of forklog in this process, as plain values: options without secrets, numbers."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

from forklog.diagnosis.facts import Handler
from forklog.handler import CloudLoggingHandler
from forklog.options import Options
from forklog.process.base import PidMark
from forklog.snapshot import State
from forklog.transports.http import HttpTransport

_MAX_CHARS = 200


def describe(handler: CloudLoggingHandler, loggers: list[str]) -> Handler:
    """Describe a handler that is attached to these loggers. Starts nothing, sends nothing."""
    pipeline = handler._known()  # noqa: SLF001 - of our own package
    stats = handler.stats()
    numbers: dict[str, str | int] = {}
    for name, value in stats.as_dict().items():
        if isinstance(value, dict):
            numbers.update({f"dropped.{reason}": count for reason, count in value.items()})
        else:
            numbers[name] = value
    has_ended = pipeline.worker.thread.ended.is_set()
    return Handler(
        name=handler.get_name() or type(handler).__name__,
        loggers=tuple(loggers),
        level=logging.getLevelName(handler.level),
        options=plain_options(options_of(handler)),
        transport=transport_name(handler),
        state=stats.state,
        stats=tuple(numbers.items()),
        is_thread_alive=not (has_ended and pipeline.state is State.RUNNING),
        mark="PID" if isinstance(pipeline.mark, PidMark) else "wiped page",
    )


def options_of(handler: CloudLoggingHandler) -> Options:
    """Return the options that a handler was made with."""
    return handler._options  # noqa: SLF001 - of our own package


def transport_name(handler: CloudLoggingHandler) -> str:
    """Return ``http``, or the class of another transport."""
    transport = handler._gate.product.sender._wire.transport  # noqa: SLF001 - of our own package
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
