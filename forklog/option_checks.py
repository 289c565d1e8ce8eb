"""Checks values for `options`: each function returns its value, made fit, or raises OptionError."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forklog.errors import Hidden, OptionError, shown
from forklog.limits import (
    MAX_KEY_BYTES,
    MAX_LABELS,
    MAX_LABELS_BYTES,
    MAX_RESOURCE_BYTES,
    MAX_VALUE_BYTES,
    estimate,
)

LAST_RESORTS = ("stderr", "none")
# Cloud Logging, LogEntry.log_name: LOG_ID is under 512 characters of this alphabet.
_LOG_ID = re.compile(r"[A-Za-z0-9/_.\-]{1,511}\Z")
# Google's documentation of projects: an id has 6 to 30 lower-case letters, digits and hyphens. An
# old one has a domain and a colon first; a number is digits. The emulator takes shorter ones too.
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.\-]*:)?[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?\Z")
_MAX_PROJECT_CHARS = 100
_NO_KEY = re.compile(r"(projects/)?[A-Za-z _.,:!\-]{0,30}\Z")  # tokens are longer, or have digits
_MAX_DIGITS = 10
_MAX_SECONDS = 1_000_000  # a socket waits 2**31 ms at most
# No user, query, fragment, space or backslash: programs disagree on which host such a URL names.
_URL = re.compile(r"https?://[A-Za-z0-9.\-_~%:\[\]]+(/[A-Za-z0-9.\-_~%:/]*)?\Z", re.IGNORECASE)
_MAX_PATH = 4096
# Of credentials: google.auth's, and those of this machine, which the metadata server gives.
_METHODS = ("before_request", "forget")
_NO_PATH = re.compile(r"[\x00-\x1f\x7f{]|-----BEGIN")
_HARMLESS = re.compile(r"[\w.\-~:/\[\] ]{,200}\Z")


def check_project(value: object, option: str = "project") -> None:
    """Refuse what cannot be a project's id or number."""
    if value is None or is_project(value):
        return
    rule = "must be a project id (lower-case letters, digits, hyphens) or a project number"
    remedy = "leave it out to have it found"
    if isinstance(value, str) and is_project(value.rpartition("projects/")[2]):
        remedy = "give the id without the prefix projects/"
    elif isinstance(value, str) and is_project(value.strip().lower()):
        is_shown = as_project(value) is value
        remedy = f"give {value.strip().lower()!r}" if is_shown else "write it in lower-case letters"
    raise OptionError(option, as_project(value), rule, remedy)


def as_project(value: object) -> object:
    """Return what a message shows of a value given for a project: its type, if it may be a key."""
    is_number = isinstance(value, int)
    is_harmless = isinstance(value, str) and (_NO_KEY.match(value) or is_project(value.strip()))
    return value if is_number or is_harmless else Hidden(value)


def is_project(value: object) -> bool:
    """Tell whether a value can be the id or the number of a project."""
    is_short = isinstance(value, str) and len(value) <= _MAX_PROJECT_CHARS
    return is_short and bool(_PROJECT.match(str(value)))


def check_credentials(value: object) -> None:
    """Refuse what is neither a path nor an object of google.auth; a pasted key is no path."""
    if value is None:
        return
    is_path = isinstance(value, (str, os.PathLike))
    if is_path:
        text = os.fspath(value)  # type: ignore[call-overload]
        if isinstance(text, str) and 0 < len(text) <= _MAX_PATH and not _NO_PATH.search(text):
            return
    elif not isinstance(value, type) and any(callable(getattr(value, m, None)) for m in _METHODS):
        return
    rule = "must be the path of a file or credentials of google.auth"
    remedy = "give the path of the key's file, or google.auth.load_credentials_from_dict(KEY)[0]"
    raise OptionError("credentials", Hidden(value), rule, remedy)


def check_log_name(value: object, option: str = "log_name") -> None:
    """Refuse what cannot be a LOG_ID."""
    if not is_log_id(value):
        rule = "must be 1 to 511 characters of A-Z a-z 0-9 / _ - ."
        raise OptionError(option, value, rule, "replace the other characters")


def is_log_id(value: object) -> bool:
    """Tell whether a value can be the id of a log."""
    return isinstance(value, str) and bool(_LOG_ID.match(value))


def check_seconds(name: str, value: object, *, zero: bool) -> None:
    """Refuse what is no duration in seconds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MAX_SECONDS or (value == 0 and not zero):  # type: ignore[operator]
        rule = f"must be a number of seconds {'>= 0' if zero else '> 0'}, at most 1_000_000"
        raise OptionError(name, value, rule, "give a number such as 0.5")


def check_count(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number in the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        rule = f"must be a whole number from {low:,} to {high:,}".replace(",", "_")
        raise OptionError(name, value, rule, "choose a number in that range")


def check_level(name: str, value: object) -> int:
    """Return a level as a number; a name is taken as people write it, ``info`` for ``INFO``."""
    if isinstance(value, str):
        level = logging.getLevelName(value.strip())
        level = level if isinstance(level, int) else logging.getLevelName(value.strip().upper())
        if isinstance(level, int):
            return level
        if value.strip().isdecimal() and len(value) < _MAX_DIGITS:
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    remedy = 'give a name such as "ERROR" or a number'
    raise OptionError(name, value, "must be a level of logging", remedy)


def check_labels(labels: object) -> dict[str, str]:
    """Return labels as a dict; refuse what the API would refuse."""
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise OptionError("labels", labels, "must be a mapping", 'give {"name": "value"}')
    bad = [k for k, v in labels.items() if not (is_text(k) and is_text(v))]
    if bad:
        rule = f"keys and values must be strings that UTF-8 can hold ({shown(bad[0])} is not)"
        raise OptionError("labels", dict(labels), rule, "quote it")
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


def is_text(value: object) -> bool:
    """Tell whether a value is a string without surrogates, which no JSON may have."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def check_resource(resource: object) -> dict[str, Any] | None:
    """Return a monitored resource as a dict, None if none was given."""
    if resource is None:
        return None
    as_dict = getattr(resource, "_to_dict", None)  # google.cloud.logging.Resource
    if callable(as_dict):
        resource = as_dict()
    remedy = 'give {"type": "generic_task", "labels": {...}}'
    kind = resource.get("type") if isinstance(resource, Mapping) else None
    if not isinstance(resource, Mapping) or resource.keys() - {"type", "labels"} or not kind:
        rule = "must be a mapping with a string 'type', and 'labels' at most"
        raise OptionError("resource", resource, rule, remedy)
    labels = resource.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise OptionError("resource", resource, "its labels must be a mapping", remedy)
    made = {"type": resource["type"], "labels": {str(k): str(v) for k, v in labels.items()}}
    if not all(map(is_text, (made["type"], *made["labels"], *made["labels"].values()))):
        raise OptionError("resource", resource, "must be text that UTF-8 can hold", remedy)
    if estimate(made) > MAX_RESOURCE_BYTES:
        rule = f"type and labels together have at most {MAX_RESOURCE_BYTES} bytes"
        raise OptionError("resource", resource["type"][:80], rule, "shorten them")
    return made


def check_endpoint(endpoint: object) -> str | None:
    """Return a base URL without a slash at its end, None if none was given."""
    if endpoint is None:
        return None
    text = endpoint.rstrip("/") if isinstance(endpoint, str) else ""
    if not _is_base_url(text):
        rule = "must be an http(s) URL without query and user"
        remedy = 'give "http://127.0.0.1:8085" or the like'
        raise OptionError("endpoint", _harmless(endpoint), rule, remedy)
    return text


def check_emulator(host: str | None, option: str = "LOGGING_EMULATOR_HOST") -> str | None:
    """Return the URL of an emulator's HOST:PORT or URL; None for none, or an empty variable."""
    if host is None or (not host and option.isupper()):
        return None
    url = host.rstrip("/") if "://" in host else f"http://{host}"
    if not _is_base_url(url):
        rule = "must be HOST:PORT or an http(s) URL without query and user"
        remedy = "set it to 127.0.0.1:8085 or the like, or leave it out"
        raise OptionError(option, _harmless(host), rule, remedy)
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
    return url if isinstance(url, str) and _HARMLESS.match(url) else Hidden(url)


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_last_resort(value: object) -> str:
    """Return the place as text; refuse what is none."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    is_path = isinstance(text, str) and Path(text).is_absolute() and "\0" not in text
    if isinstance(text, str) and (text in LAST_RESORTS or is_path):
        return text
    rule = 'must be "stderr", "none" or an absolute path'
    raise OptionError("last_resort", text, rule, "choose one of them")


def check_spool(value: object) -> str | None:
    """Return the folder as text, or "auto"; refuse what is neither."""
    if value is None:
        return None
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and (text == "auto" or Path(text).is_absolute()) and "\0" not in text:
        return text
    rule = 'must be "auto" (shared memory) or the absolute path of a folder'
    raise OptionError("spool", text, rule, "choose one of them, or leave it out for no spool")
