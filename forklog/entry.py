"""Step 3, the encoder: one LogRecord to one LogEntry as final JSON bytes; gives them to the buffer.

Nothing of the record is kept: what the caller changes afterwards does not matter, sizes are exact,
and the flush thread only joins bytes. A plain record (no ``extra=``, no exception) takes the short
road: the fragments that depend on the call site alone are cached, the rest is one format operation.
Every other record, and every record on which the short road stumbles, takes the full one.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from forklog.clean import safe_text, to_json
from forklog.context import Context
from forklog.insert_id import InsertIds
from forklog.limits import MAX_ENTRY_BYTES, SURELY_SMALL_BYTES, estimate, fit_object, split_text
from forklog.payload import payload_of
from forklog.repair import (
    MAX_LABELS,
    cut_bytes,
    http_request_of,
    labels_of,
    resource_of,
    source_location_of,
    span_id_of,
)

__all__ = ["SEVERITIES", "Encoder", "drop_notice", "rank_of_level"]

SEVERITIES = (
    b"DEFAULT", b"DEBUG", b"INFO", b"NOTICE", b"WARNING",
    b"ERROR", b"CRITICAL", b"ALERT", b"EMERGENCY",
)  # fmt: skip
_LEVELS = ((logging.CRITICAL, 6), (logging.ERROR, 5), (logging.WARNING, 4), (logging.INFO, 2),
           (logging.DEBUG, 1))  # fmt: skip
# A record with more fields than this has an extra, or was formatted by another handler before.
_PLAIN_FIELDS = len(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)
_MAX_SITES = 4096
_BRACE = ord("{")
_NONE = b'"None"'
_DAY = 86_400
_LAST_SECOND = 253_402_300_799  # year 9999
_dumps = orjson.dumps


class Site(NamedTuple):
    """What every record of one call site has in common."""

    rank: int
    fragment: bytes


def rank_of_level(level: object) -> int:
    """Return the severity's rank for a level of logging: that of the nearest lower standard one."""
    if isinstance(level, (int, float)):
        for standard, rank in _LEVELS:
            if level >= standard:
                return rank
    return 0


class Encoder:
    """Turn records into entries. Safe from any thread, signal handler or finalizer; never raises.

    Args:
        format_record: the handler's ``format``, for records that need it.
        labels: the handler's labels, sent with each request; a ``python_logger`` among them
            replaces the one of the entries.
        project: returns the project id if it is known by now, to complete inferred trace ids.
    """

    def __init__(
        self,
        format_record: Callable[[logging.LogRecord], str],
        labels: Mapping[str, str],
        project: Callable[[], str | None],
    ) -> None:
        """Start with empty caches."""
        self._format = format_record
        self._names_logger = "python_logger" not in labels
        self._room = MAX_LABELS - len(labels)
        self._project = project
        self._context = Context()
        self._sources = self._context.sources
        self._sites: dict[tuple[Any, ...], Site] = {}
        self._second = (-1, b"")

    def encode(self, record: logging.LogRecord, ids: InsertIds) -> tuple[int, bytes] | None:
        """Encode a plain record by the short road; None, or any exception, if it is not plain."""
        if len(record.__dict__) != _PLAIN_FIELDS or record.exc_info or record.stack_info:
            return None
        if self._sources():
            return None
        message = record.msg
        if message.__class__ is not str or record.exc_text:
            return None
        args = record.args
        text = _dumps(message % args if args else message)
        if text[1] == _BRACE or text == _NONE or len(text) > SURELY_SMALL_BYTES:
            return None
        site = self._sites.get(
            (record.pathname, record.lineno, record.funcName, record.name, record.levelno)
        ) or self._new_site(record)
        created = record.created
        second = int(created)
        known, stamp = self._second
        if known != second:
            stamp = self._new_second(second)
        return site.rank, b'%b%010x","timestamp":"%b%09dZ",%b"textPayload":%b}' % (
            ids.head, ids.number(), stamp, (created - second) * 1e9, site.fragment, text,
        )  # fmt: skip

    def _new_second(self, second: int) -> bytes:
        if not 0 <= second <= time.time() + _DAY - 1:
            raise _NotPlainError
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        self._second = (second, stamp)  # one assignment: other threads see both or neither
        return stamp

    def _new_site(self, record: logging.LogRecord) -> Site:
        rank = rank_of_level(record.levelno)
        labels = {"python_logger": record.name} if record.name and self._names_logger else {}
        if max(map(len, (record.name, record.pathname))) > 500:  # noqa: PLR2004 - labels are limited
            raise _NotPlainError
        line = str(int(record.lineno))
        location = {"file": record.pathname, "line": line, "function": record.funcName}
        parts = [b'"severity":"%b",' % SEVERITIES[rank]]
        if labels:
            parts.append(b'"labels":%b,' % _dumps(labels))
        parts.append(b'"sourceLocation":%b,' % _dumps(source_location_of(location)))
        if len(self._sites) >= _MAX_SITES:  # loggers named by request, generated code
            self._sites = {}
        site = Site(rank, b"".join(parts))
        self._sites[
            record.pathname, record.lineno, record.funcName, record.name, record.levelno
        ] = site
        return site

    # -- the full road -----------------------------------------------------------------------

    def encode_full(self, record: logging.LogRecord, ids: InsertIds) -> list[tuple[int, bytes]]:
        """Encode any record, as faithfully as the API allows; several entries if it is long."""
        rank = rank_of_level(record.levelno)
        fields, repaired = self._fields(record, rank)
        payload = payload_of(record, self._format)
        if payload is None:
            return [(rank, _entry(ids, fields, repaired, b""))]
        if isinstance(payload, str):
            return [(rank, entry) for entry in _text_entries(ids, fields, repaired, payload)]
        encoded = to_json(payload)
        if len(encoded) > SURELY_SMALL_BYTES:
            plain = orjson.loads(encoded)
            room = MAX_ENTRY_BYTES - _size(fields)
            if estimate(plain) > room:
                encoded = to_json(fit_object(plain, room))
                repaired.append("jsonPayload")
        return [(rank, _entry(ids, fields, repaired, b'"jsonPayload":%b' % encoded))]

    def _fields(self, record: logging.LogRecord, rank: int) -> tuple[dict[str, bytes], list[str]]:
        """Return all fields but insertId and payload, and the names of the repaired ones."""
        repaired: list[str] = []
        extra = record.__dict__
        fields = {
            "timestamp": _timestamp(record.created, repaired),
            "severity": b'"%b"' % SEVERITIES[rank],
        }
        labels = self._labels(record, repaired)
        if labels:
            fields["labels"] = to_json(labels)
        location = source_location_of(_given(extra, "source_location", _location_of(record)))
        if location is not None:
            fields["sourceLocation"] = to_json(
                {key: cut_bytes(text, 4096) for key, text in location.items()}
            )
        resource = resource_of(_given(extra, "resource", None))
        if resource is not None:
            fields["resource"] = to_json(resource)
        self._add_context(extra, fields, repaired)
        return fields, repaired

    def _labels(self, record: logging.LogRecord, repaired: list[str]) -> dict[str, str]:
        given = record.__dict__.get("labels", record.__dict__.get("_labels"))
        named = {"python_logger": record.name} if record.name and self._names_logger else {}
        if given is not None and not isinstance(given, Mapping):
            repaired.append("labels")
            given = None
        own, changed = labels_of({**named, **dict(given or {})}, self._room - 1)
        if changed:
            repaired.append("labels")
        return own

    def _add_context(
        self, extra: Mapping[str, Any], fields: dict[str, bytes], repaired: list[str]
    ) -> None:
        task = self._context.current()
        trace = _given(extra, "trace", self._full_trace(task.trace))
        if trace and isinstance(trace, str):
            fields["trace"] = to_json(cut_bytes(safe_text(trace), 1024))
        span = _given(extra, "span_id", task.span_id)
        span_id = span_id_of(span)
        if span_id:
            fields["spanId"] = to_json(span_id)
        elif span or (trace and not isinstance(trace, str)):
            repaired.append("trace" if not span else "spanId")
        if _given(extra, "trace_sampled", task.sampled):
            fields["traceSampled"] = b"true"
        request = http_request_of(_given(extra, "http_request", task.http_request))
        if request:
            fields["httpRequest"] = to_json(
                {k: cut_bytes(v, 16_384) if isinstance(v, str) else v for k, v in request.items()}
            )

    def _full_trace(self, trace: str | None) -> str | None:
        project = self._project()
        return f"projects/{project}/traces/{trace}" if trace and project else trace


class _NotPlainError(Exception):
    """The record needs the full road."""


def _given(extra: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """Return a field of ``extra=``, or what google's CloudLoggingFilter has set, or a default."""
    if name in extra:
        return extra[name]
    found = extra.get(f"_{name}")
    return otherwise if found is None else found


def _location_of(record: logging.LogRecord) -> dict[str, Any]:
    return {"file": record.pathname, "line": record.lineno, "function": record.funcName}


def _timestamp(created: object, repaired: list[str]) -> bytes:
    now = time.time()
    if not isinstance(created, (int, float)) or not math.isfinite(created):
        repaired.append("timestamp")
        created = now
    elif not 0 <= created < min(now + _DAY, _LAST_SECOND):
        # entries.write refuses a timestamp more than 24 h ahead.
        repaired.append("timestamp")
        created = 0.0 if created < 0 else now
    second = int(created)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f'"{stamp}.{int((created - second) * 1e9):09d}Z"'.encode()


def _size(fields: Mapping[str, bytes]) -> int:
    return sum(map(len, fields.values())) + 64 * len(fields)


def _entry(
    ids: InsertIds, fields: Mapping[str, bytes], repaired: list[str], payload: bytes
) -> bytes:
    parts = [b'"%b":%b' % (name.encode(), value) for name, value in fields.items()]
    if repaired:
        mark = to_json({"forklog_repaired": ",".join(sorted(set(repaired)))})
        parts = [p for p in parts if not p.startswith(b'"labels":')]
        labels = fields.get("labels", b"{}")
        merged = labels[:-1] + (b"," if len(labels) > 2 else b"") + mark[1:]  # noqa: PLR2004
        parts.append(b'"labels":%b' % merged)
    if payload:
        parts.append(payload)
    return b'%b%010x",%b}' % (ids.head, ids.number(), b",".join(parts))


def _text_entries(
    ids: InsertIds, fields: dict[str, bytes], repaired: list[str], text: str
) -> list[bytes]:
    """Encode a text payload; one that is too long as several entries marked with ``split``."""
    room = max(MAX_ENTRY_BYTES - _size(fields), SURELY_SMALL_BYTES)
    if len(text) * 4 <= room or len(text.encode()) <= room:
        return [_entry(ids, fields, repaired, b'"textPayload":%b' % to_json(text))]
    pieces = split_text(text, room)
    uid = f"{ids.head[-19:].decode()}{ids.number():010x}"
    entries = []
    for index, piece in enumerate(pieces):
        split = to_json({"uid": uid, "index": index, "totalSplits": len(pieces)})
        payload = b'"split":%b,"textPayload":%b' % (split, to_json(piece))
        entries.append(_entry(ids, fields, repaired, payload))
    return entries


def drop_notice(ids: InsertIds, number: int, reason: str) -> tuple[int, bytes]:
    """Make the entry by which the log itself says that entries were dropped."""
    rank = rank_of_level(logging.WARNING)
    fields = {
        "timestamp": _timestamp(time.time(), []),
        "severity": b'"%b"' % SEVERITIES[rank],
        "labels": to_json({"python_logger": "forklog"}),
    }
    payload = {"message": f"forklog dropped {number} entries ({reason})", "dropped": number,
               "reason": reason}  # fmt: skip
    return rank, _entry(ids, fields, [], b'"jsonPayload":%b' % to_json(payload))
