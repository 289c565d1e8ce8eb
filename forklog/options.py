"""Options of the handler: one frozen value, checked once, before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from forklog.errors import Hidden, OptionError
from forklog.limits import REQUEST_LOG_SUFFIX
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
    check_spool,
    is_log_id,
    is_text,
)

DEFAULT_ENDPOINT = "https://logging.googleapis.com"
MIN_BUFFER_BYTES = 1024 * 1024
_MAX_REQUEST_BYTES = 9 * 1024 * 1024  # the server refuses more than 10,485,760 with its envelope

_OWN: dict[type, Callable[[Any], object]] = {
    str: str.__str__,
    float: float.__float__,
    int: int.__int__,
}


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
    compression: str | None = None
    spool: str | None = None
    spool_max_bytes: int = 64 * 1024 * 1024
    spool_max_folder_bytes: int = 1024 * 1024 * 1024
    on_drop: Callable[[Sequence[bytes], str], object] | None = None
    access_log: bool | str = False
    process_labels: bool = False
    extra_fields: bool = False
    service: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Check every option; the first wrong one raises."""
        for option in fields(self):
            object.__setattr__(self, option.name, plain(getattr(self, option.name)))
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
        # To the stock handler an empty one is none.
        is_none = isinstance(self.resource, Mapping) and not self.resource
        resource = None if is_none else self.resource
        object.__setattr__(self, "resource", check_resource(resource))
        _check_compression(self.compression)
        object.__setattr__(self, "spool", check_spool(self.spool))
        check_count("spool_max_bytes", self.spool_max_bytes, MIN_BUFFER_BYTES, 2**40)
        check_count("spool_max_folder_bytes", self.spool_max_folder_bytes, MIN_BUFFER_BYTES, 2**50)
        object.__setattr__(self, "last_resort", check_last_resort(self.last_resort))
        _check_access_log(self.access_log, self.log_name)
        for name in ("process_labels", "extra_fields"):
            _check_switch(name, getattr(self, name))
        object.__setattr__(self, "service", _check_service(self.service))
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


def plain(value: Any, levels: int = 2) -> Any:
    """Return texts and numbers of derived classes as what they hold, in mappings as well.

    A member of ``class Project(str, Enum)`` is a text, but reads ``Project.PROD`` in an f-string.
    """
    for kind, own in _OWN.items():
        if isinstance(value, kind):
            return value if type(value) in (kind, bool) else own(value)
    if isinstance(value, dict) and levels:
        return {plain(key): plain(value[key], levels - 1) for key in value}
    return value


def _check_switch(name: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise OptionError(name, value, "must be True or False", "give one of them")


def _check_compression(value: object) -> None:
    """Refuse what is no way to compress a request."""
    if value is not None and not (isinstance(value, str) and value == "gzip"):
        raise OptionError("compression", value, 'must be None or "gzip"', "give one of them")


def _check_access_log(value: object, log_name: str) -> None:
    """Refuse what is no way to write requests, and a log whose name leaves no room for theirs."""
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "query"):
        rule = 'must be True, False or "query"'
        raise OptionError("access_log", value, rule, 'give "query" to log the query strings too')
    if value and not is_log_id(log_name + REQUEST_LOG_SUFFIX):
        rule = f"must leave room for {REQUEST_LOG_SUFFIX!r} within 511 characters"
        raise OptionError("log_name", log_name, rule, "shorten it")


def _check_service(value: object) -> dict[str, str] | None:
    """Return the service that Error Reporting names, as a dict; None if none was given."""
    if value is None:
        return None
    made: object = {"service": value} if isinstance(value, str) else value
    if (
        isinstance(made, Mapping)
        and {"service"} <= made.keys() <= {"service", "version"}
        and all(is_text(item) and item for item in made.values())
    ):
        return dict(made)
    rule = 'must be a name, or a mapping of "service" and "version" to texts'
    remedy = 'give {"service": "shop", "version": "1.2"}'
    raise OptionError("service", value, rule, remedy)
