"""Takes a LogEntry in normal form from `write`, gives a row for the store, or refuses it. Pure.

Called by write after schema; the findings here are those of the logging back end and refuse one
entry. Limits are those of https://cloud.google.com/logging/quotas and of the LogEntry page.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from forklog.emulator import timestamps
from forklog.emulator.api import size
from forklog.emulator.errors import ApiError
from forklog.emulator.fields import SEVERITY_NAMES, STRUCTS

MAX_LABELS: Final = 64
MAX_LABEL_KEY_BYTES: Final = 512
MAX_LABEL_VALUE_BYTES: Final = 65_536
MAX_LOG_ID_CHARACTERS: Final = 511
_EXACT: Final = 2**53  # up to here a double holds every integer
MAX_DEPTH: Final = 100  # protobuf's own limit for nested JSON

_LOG_NAME: Final = re.compile(
    r"/?((?:projects|organizations|billingAccounts|folders)/[\w.:-]{1,200})/logs/([^/]+)", re.ASCII
)
_LOG_ID: Final = re.compile(r"(?:[A-Za-z0-9_.-]|%2[Ff])+")


class Row(NamedTuple):
    """An entry as the store keeps it: the columns it is found by, and its JSON."""

    parent: str
    log_name: str
    timestamp: int
    insert_id: str
    severity: int
    body: bytes


class Defaults(NamedTuple):
    """What the request gives to every entry that does not say it itself."""

    log_name: str
    resource: dict[str, Any]
    labels: dict[str, str]
    received: int


def settle(entry: dict[str, Any], defaults: Defaults, order: int, new_id: str) -> Row:
    """Return the row of an entry that was read; ApiError if the service would refuse it.

    Args:
        entry: from `schema.read_entry`; changed in place.
        defaults: of the request.
        order: the entry's index; entries without a timestamp keep their order by it.
        new_id: the insertId to use if the entry has none.

    """
    log_name, parent = check_log_name(entry.get("logName") or defaults.log_name)
    entry["logName"] = log_name
    if not entry.get("resource", defaults.resource).get("type"):
        raise ApiError("A monitored resource must be specified for each log entry")
    entry["resource"] = _with_project(entry.get("resource", defaults.resource), parent)
    _settle_labels(entry, defaults.labels)
    when = entry.get("timestamp", defaults.received + order)
    if when > defaults.received + timestamps.DAY:
        raise ApiError("Timestamp is over a day in the future")
    entry["timestamp"] = timestamps.render(when)
    entry["receiveTimestamp"] = timestamps.render(defaults.received)
    level = entry.pop("severity", 0)
    if level:  # JSON leaves zero values out, and DEFAULT is one
        entry["severity"] = SEVERITY_NAMES.get(level, level)
    for name in STRUCTS:
        if name in entry:
            entry[name] = _as_doubles(entry[name])
    insert_id = entry.setdefault("insertId", new_id)
    return Row(parent, log_name, when, insert_id, level, _encode(entry))


@lru_cache(maxsize=1024)
def check_log_name(name: str) -> tuple[str, str]:
    """Return the log's name and its parent; ApiError if it is missing or malformed."""
    if not name:
        raise ApiError("Log name is required: set it on the request or on the entry")
    found = _LOG_NAME.fullmatch(name)
    if found is None:
        msg = f'Received unexpected value parsing name "{name[:600]}": Expected the form '
        raise ApiError(msg + "projects/[PROJECT_ID]/logs/[ID]")
    parent, log_id = found.groups()
    if not _LOG_ID.fullmatch(log_id):
        msg = f"Log name ({log_id[:600]}) contains illegal character. Allowed characters are "
        raise ApiError(msg + "alphanumerics, forward-slash (URL-encoded), _, - and .")
    if len(re.sub("%2[Ff]", "/", log_id)) > MAX_LOG_ID_CHARACTERS:
        msg = f"Log name exceeds the limit of {MAX_LOG_ID_CHARACTERS} characters"
        raise ApiError(msg)
    return name.removeprefix("/"), parent


def _with_project(resource: dict[str, Any], parent: str) -> dict[str, Any]:
    """Fill the label project_id in, as the service does for resources of a project."""
    kind, _, parent_id = parent.partition("/")
    if kind != "projects":
        return resource
    return {**resource, "labels": {"project_id": parent_id, **resource.get("labels", {})}}


def _as_doubles(value: Any, depth: int = 0) -> Any:
    """Return the value as a protobuf Struct keeps it, whose numbers are all doubles.

    An integer above 2**53 is rounded, and 1.0 comes back as 1. What is too deep stays: it is
    refused later.
    """
    if type(value) is int:
        return value if -_EXACT <= value <= _EXACT else float(value)
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if depth > MAX_DEPTH or type(value) not in (dict, list):
        return value
    if type(value) is list:
        return [_as_doubles(inner, depth + 1) for inner in value]
    return {key: _as_doubles(inner, depth + 1) for key, inner in value.items()}


def _settle_labels(entry: dict[str, Any], defaults: dict[str, str]) -> None:
    labels = {**defaults, **entry.get("labels", {})}
    if len(labels) > MAX_LABELS:
        msg = f"Log entry has {len(labels)} labels, more than the limit of {MAX_LABELS}"
        raise ApiError(msg)
    if labels:
        entry["labels"] = {
            _cut(key, MAX_LABEL_KEY_BYTES): _cut(value, MAX_LABEL_VALUE_BYTES)
            for key, value in labels.items()
        }


def _cut(text: str, max_bytes: int) -> str:
    """Truncate as the LogEntry page says of labels: the end is marked by an ellipsis."""
    if len(text) * 4 <= max_bytes or len(raw := text.encode()) <= max_bytes:
        return text
    return raw[: max_bytes - 3].decode(errors="ignore") + "..."


def _encode(entry: dict[str, Any]) -> bytes:
    try:
        body = orjson.dumps(entry)
    except orjson.JSONEncodeError as error:
        raise _too_deep() from error
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(entry) > MAX_DEPTH:
        raise _too_deep()
    if not size.is_surely_small(len(body)):
        internal = size.entry_bytes(entry)
        if internal > size.MAX_ENTRY_BYTES:
            limit = size.shown(size.MAX_ENTRY_BYTES)
            msg = f"Log entry with size {size.shown(internal)} exceeds maximum size of {limit}"
            raise ApiError(msg)
    return body


def _too_deep() -> ApiError:
    return ApiError(f"Message too deep: more than {MAX_DEPTH} levels of nested JSON")


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
