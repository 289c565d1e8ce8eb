"""Options of the handler: one frozen value, checked once, before anything is built from it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forklog.errors import Hidden, OptionError
from forklog.labels import MAX_KEY_BYTES, MAX_LABELS, MAX_LABELS_BYTES, MAX_VALUE_BYTES
from forklog.limits import estimate
from forklog.repair import MAX_RESOURCE_BYTES

__all__ = ["LAST_RESORTS", "MIN_BUFFER_BYTES", "Options"]

MIN_BUFFER_BYTES = 1024 * 1024
LAST_RESORTS = ("stderr", "none")
# Cloud Logging, LogEntry.log_name: LOG_ID is under 512 characters of this alphabet.
_LOG_ID = re.compile(r"[A-Za-z0-9/_.\-]{1,511}\Z")
_MAX_SECONDS = 1_000_000  # a socket waits 2**31 ms at most
# No user, query, fragment, space or backslash: programs disagree on which host such a URL names.
_URL = re.compile(r"https?://[A-Za-z0-9.\-_~%:\[\]]+(/[A-Za-z0-9.\-_~%:/]*)?\Z", re.IGNORECASE)
_HARMLESS = re.compile(r"[\w.\-~:/\[\] ]{,200}\Z")
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
        _check_project(self.project)
        _check_log_name(self.log_name)
        for name in ("max_latency", "block_timeout", "shutdown_timeout"):
            _check_seconds(name, getattr(self, name), zero=True)
        for name in ("connect_timeout", "answer_timeout", "max_retry_delay"):
            _check_seconds(name, getattr(self, name), zero=False)
        _check_count("max_batch_entries", self.max_batch_entries, 1, 1_000_000)
        _check_count("max_batch_bytes", self.max_batch_bytes, 300_000, _MAX_REQUEST_BYTES)
        _check_count("max_buffer_bytes", self.max_buffer_bytes, MIN_BUFFER_BYTES, 2**40)
        object.__setattr__(self, "flush_level", _check_level(self.flush_level))
        object.__setattr__(self, "endpoint", _check_endpoint(self.endpoint))
        object.__setattr__(self, "labels", _check_labels(self.labels))
        object.__setattr__(self, "resource", _check_resource(self.resource))
        object.__setattr__(self, "last_resort", _check_last_resort(self.last_resort))
        if self.on_drop is not None and not callable(self.on_drop):
            raise OptionError(
                "on_drop", self.on_drop, "must be callable", "give a function (entries, reason)"
            )


def _check_project(value: object) -> None:
    if value is not None and not (isinstance(value, str) and value):
        remedy = "leave it out to have it found"
        raise OptionError("project", value, "must be a project id", remedy)


def _check_log_name(value: object) -> None:
    if not (isinstance(value, str) and _LOG_ID.match(value)):
        rule = "must be 1 to 511 characters of A-Z a-z 0-9 / _ - ."
        raise OptionError("log_name", value, rule, "replace the other characters")


def _check_seconds(name: str, value: object, *, zero: bool) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MAX_SECONDS or (value == 0 and not zero):  # type: ignore[operator]
        rule = f"must be a number of seconds {'>= 0' if zero else '> 0'}, at most 1_000_000"
        raise OptionError(name, value, rule, "give a number such as 0.5")


def _check_count(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        rule = f"must be a whole number from {low:,} to {high:,}".replace(",", "_")
        raise OptionError(name, value, rule, "choose a number in that range")


def _check_level(value: object) -> int:
    if isinstance(value, str):
        level = logging.getLevelName(value.strip().upper())
        if isinstance(level, int):
            return level
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise OptionError(
        "flush_level",
        value,
        "must be a level of logging",
        'give a name such as "ERROR" or a number',
    )


def _check_labels(labels: object) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise OptionError("labels", labels, "must be a mapping", 'give {"name": "value"}')
    bad = [k for k, v in labels.items() if not isinstance(k, str) or not isinstance(v, str)]
    if bad:
        raise OptionError(
            "labels",
            dict(labels),
            f"keys and values must be strings ({bad[0]!r} is not)",
            "quote it",
        )
    if len(labels) > MAX_LABELS:
        raise OptionError("labels", len(labels), "at most 64 labels an entry", "send fewer")
    for key, value in labels.items():
        if len(key.encode()) > MAX_KEY_BYTES or len(value.encode()) > MAX_VALUE_BYTES:
            rule = f"a key has at most {MAX_KEY_BYTES} bytes, a value {MAX_VALUE_BYTES}"
            raise OptionError("labels", key[:80], rule, "shorten it")
    if estimate(dict(labels)) > MAX_LABELS_BYTES:
        rule = f"all labels together have at most {MAX_LABELS_BYTES} bytes"
        raise OptionError("labels", estimate(dict(labels)), rule, "they are part of every entry")
    return dict(labels)


def _check_resource(resource: object) -> dict[str, Any] | None:
    if resource is None:
        return None
    as_dict = getattr(resource, "_to_dict", None)  # google.cloud.logging.Resource
    if callable(as_dict):
        resource = as_dict()
    remedy = 'give {"type": "generic_task", "labels": {...}}'
    if not isinstance(resource, Mapping) or not isinstance(resource.get("type"), str):
        rule = "must be a mapping with a string 'type'"
        raise OptionError("resource", resource, rule, remedy)
    labels = resource.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise OptionError("resource", resource, "its labels must be a mapping", remedy)
    made = {"type": resource["type"], "labels": {str(k): str(v) for k, v in labels.items()}}
    if estimate(made) > MAX_RESOURCE_BYTES:
        rule = f"type and labels together have at most {MAX_RESOURCE_BYTES} bytes"
        raise OptionError("resource", resource["type"][:80], rule, "shorten them")
    return made


def _check_endpoint(endpoint: object) -> str | None:
    if endpoint is None:
        return None
    text = endpoint.rstrip("/") if isinstance(endpoint, str) else ""
    if not _is_base_url(text):
        rule = "must be an http(s) URL without query and user"
        remedy = 'give "http://127.0.0.1:8085" or the like'
        raise OptionError("endpoint", _harmless(endpoint), rule, remedy)
    return text


def check_emulator(host: str | None) -> str | None:
    """Return the URL of a value of LOGGING_EMULATOR_HOST; None if the variable is not set."""
    if not host:
        return None
    url = host.rstrip("/") if "://" in host else f"http://{host}"
    if not _is_base_url(url):
        rule = "must be HOST:PORT or an http(s) URL without query and user"
        remedy = "set it to 127.0.0.1:8085 or the like, or unset it"
        raise OptionError("LOGGING_EMULATOR_HOST", _harmless(host), rule, remedy)
    return url


def _is_base_url(text: str) -> bool:
    """Tell whether a text is the beginning of URLs, read alike by all that split URLs."""
    if not _URL.match(text):
        return False
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0  # a port that is no number raises
    except ValueError:
        return False
    return has_host and parts.scheme in ("http", "https")


def _harmless(url: object) -> object:
    """Return a wrong URL as it may be shown: a user, a query and a fragment may hold a secret."""
    return Hidden(url) if isinstance(url, str) and not _HARMLESS.match(url) else url


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_last_resort(value: object) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and (text in LAST_RESORTS or Path(text).is_absolute()):
        return text
    rule = 'must be "stderr", "none" or an absolute path'
    raise OptionError("last_resort", value, rule, "choose one of them")
