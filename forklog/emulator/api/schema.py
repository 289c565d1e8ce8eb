"""Takes a LogEntry's JSON from `write`, gives its normal form, or lists what does not fit. Pure.

Called by write; the findings here are those of the JSON front end and refuse the whole request.
Fields are those of https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry.
"""

from __future__ import annotations

from typing import Any, Final

from forklog.emulator.fields import (
    WrongValue,
    any_message,
    boolean,
    duration,
    fail,
    int32,
    int64,
    message,
    sequence,
    severity,
    string,
    string_map,
    struct,
    table,
    timestamp,
    unknown_name,
)

# Output only: the service takes them in a write and ignores them.
OUTPUT_ONLY: Final = frozenset(
    (
        "receiveTimestamp",
        "metadata",
        "errorGroups",
        "apphub",
        "apphubDestination",
        "apphubSource",
    )
)
PAYLOADS: Final = ("textPayload", "jsonPayload", "protoPayload")

read_resource: Final = message("google.api.MonitoredResource", type=string, labels=string_map)
_FIELDS: Final = table(
    log_name=string,
    resource=read_resource,
    timestamp=timestamp,
    receive_timestamp=timestamp,
    severity=severity,
    insert_id=string,
    text_payload=string,
    json_payload=struct,
    proto_payload=any_message,
    http_request=message(
        "google.logging.type.HttpRequest",
        request_method=string,
        request_url=string,
        request_size=int64,
        status=int32,
        response_size=int64,
        user_agent=string,
        remote_ip=string,
        server_ip=string,
        referer=string,
        latency=duration,
        cache_lookup=boolean,
        cache_hit=boolean,
        cache_validated_with_origin_server=boolean,
        cache_fill_bytes=int64,
        protocol=string,
    ),
    labels=string_map,
    metadata=struct,
    operation=message(
        "google.logging.v2.LogEntryOperation",
        id=string,
        producer=string,
        first=boolean,
        last=boolean,
    ),
    trace=string,
    span_id=string,
    trace_sampled=boolean,
    source_location=message(
        "google.logging.v2.LogEntrySourceLocation", file=string, line=int64, function=string
    ),
    split=message("google.logging.v2.LogSplit", uid=string, index=int32, total_splits=int32),
    error_groups=sequence,
    apphub=struct,
    apphub_destination=struct,
    apphub_source=struct,
    otel=struct,
)


def read_entry(raw: object, where: str, violations: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the entry with normal names and values; what does not fit goes to `violations`."""
    entry: dict[str, Any] = {}
    if type(raw) is not dict:
        violations.append(_not_an_entry(raw).at(where))
        return entry
    for name, value in raw.items():
        field = _FIELDS.get(name)
        if field is None:
            violations.append(unknown_name(name, where))
        elif value is not None:
            try:
                normal = field.read(value)
            except WrongValue as wrong:
                violations.append(wrong.at(f"{where}.{field.snake}"))
                continue
            if (normal and field.name not in OUTPUT_ONLY) or field.name in PAYLOADS:
                entry[field.name] = normal
    _check_one_payload(entry, where, violations)
    return entry


def _not_an_entry(raw: object) -> WrongValue:
    try:
        fail("type.googleapis.com/google.logging.v2.LogEntry", raw)
    except WrongValue as wrong:
        return wrong


def _check_one_payload(
    entry: dict[str, Any], where: str, violations: list[tuple[str, str]]
) -> None:
    given = [name for name in entry if name in PAYLOADS]
    for name in given[1:]:
        text = f"oneof field 'payload' is already set. Cannot set '{name}'"
        violations.append((where, f"Invalid value at '{where}' (oneof), {text}"))
