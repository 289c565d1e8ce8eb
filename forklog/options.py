"""Options of the handler: one frozen value, checked once, before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from forklog.errors import Hidden, OptionError
from forklog.option_checks import (
    check_count,
    check_credentials,
    check_endpoint,
    check_labels,
    check_last_resort,
    check_level,
    check_log_name,
    check_project,
    check_resource,
    check_seconds,
)

MIN_BUFFER_BYTES = 1024 * 1024
_MAX_REQUEST_BYTES = 9 * 1024 * 1024  # the server refuses more than 10,485,760 with its envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every setting of `forklog.CloudLoggingHandler`; durations in seconds, sizes in bytes.

    Raises:
        OptionError: at construction, naming the option, its value, the rule and the remedy.
    """

    project: str | None = None
    log_name: str = "python"
    labels: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, Any] | None = None
    endpoint: str | None = None
    credentials: Any = None
    max_latency: float = 0.2
    flush_level: int | str = "ERROR"
    max_batch_entries: int = 10_000
    max_batch_bytes: int = 4 * 1024 * 1024
    max_buffer_bytes: int = 32 * 1024 * 1024
    block_timeout: float = 0.0
    connect_timeout: float = 5.0
    answer_timeout: float = 30.0
    max_retry_delay: float = 30.0
    shutdown_timeout: float = 5.0
    last_resort: str = "stderr"
    on_drop: Callable[[Sequence[bytes], str], object] | None = None

    def __post_init__(self) -> None:
        """Check every option; the first wrong one raises."""
        check_project(self.project)
        check_credentials(self.credentials)
        check_log_name(self.log_name)
        for name in ("max_latency", "block_timeout", "shutdown_timeout"):
            check_seconds(name, getattr(self, name), zero=True)
        for name in ("connect_timeout", "answer_timeout", "max_retry_delay"):
            check_seconds(name, getattr(self, name), zero=False)
        check_count("max_batch_entries", self.max_batch_entries, 1, 1_000_000)
        check_count("max_batch_bytes", self.max_batch_bytes, 300_000, _MAX_REQUEST_BYTES)
        check_count("max_buffer_bytes", self.max_buffer_bytes, MIN_BUFFER_BYTES, 2**40)
        object.__setattr__(self, "flush_level", check_level("flush_level", self.flush_level))
        object.__setattr__(self, "endpoint", check_endpoint(self.endpoint))
        object.__setattr__(self, "labels", check_labels(self.labels))
        object.__setattr__(self, "resource", check_resource(self.resource))
        object.__setattr__(self, "last_resort", check_last_resort(self.last_resort))
        if self.on_drop is not None and not callable(self.on_drop):
            raise OptionError(
                "on_drop", self.on_drop, "must be callable", "give a function (entries, reason)"
            )

    def __repr__(self) -> str:
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("credentials", "on_drop"):
            if shown[name] is not None:
                shown[name] = Hidden(shown[name])
        return f"Options({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
