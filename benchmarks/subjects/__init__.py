"""What is compared. Each subject lives in a process of its own, so one never pays for another."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.subjects.subject import Subject

_CLASSES = {
    "nothing": ("nothing", "Nothing", "does nothing"),
    "null": ("nothing", "Null", "logging.NullHandler"),
    "queue": ("queue_handler", "Queue", "QueueHandler"),
    "stock-grpc": ("stock", "StockGrpc", "stock, gRPC"),
    "stock-http": ("stock", "StockHttp", "stock, HTTP"),
    "otel": ("otel", "OpenTelemetry", "OpenTelemetry"),
    "loguru": ("loguru_enqueue", "Loguru", "loguru"),
    "logstash": ("logstash", "Logstash", "logstash-async"),
    "stopped": ("stopped", "Stopped", "does nothing, and its thread ends before a fork"),
    "bare": ("bare", "Bare", "the least that delivers"),
    "straight": ("one_function", "OneFunction", "forklog in one function"),
    "compiled": ("compiled_core", "CompiledCore", "the plain path in C"),
    "forklog": ("forklog_handler", "Forklog", "forklog"),
    "spooled": ("forklog_handler", "Spooled", "forklog, spool"),
}
LABELS = {name: label for name, (_, _, label) in _CLASSES.items()}
# The rows of the others give them a folder, or a file that was compiled, or fork.
_OF_A_ROW = {"spooled", "compiled", "stopped"}
SUBJECTS = tuple(name for name in _CLASSES if name not in _OF_A_ROW)


def make(name: str, **options: Any) -> Subject:
    """Import and build a subject; nothing is started yet."""
    module, kind, _ = _CLASSES[name]
    found = getattr(importlib.import_module(f"benchmarks.subjects.{module}"), kind)
    subject: Subject = found(**options)
    return subject
