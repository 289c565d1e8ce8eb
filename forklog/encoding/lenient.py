"""The lenient encoder: any LogRecord to entries that the API accepts; called by the encoder.

Takes the payload from `payload`, repairs every other field with `repair`, keeps the whole within
the limits. The label ``forklog_repaired`` names what had to be left out or changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from forklog.context.base import Context, FinishedRequest, LogContext
from forklog.encoding.builder import EntryBuilder, log_of_requests, request_entry
from forklog.encoding.extra import NO_ADDITIONS, Additions
from forklog.encoding.jsonable import encoded_or_copied, to_json
from forklog.encoding.labels import labels_of, names_logger
from forklog.encoding.payload import is_left_out, payload_of
from forklog.encoding.repair import (
    flag_of,
    http_request_of,
    resource_of,
    source_location_of,
    span_id_of,
    trace_of,
)
from forklog.encoding.text import attribute_of, safe_text
from forklog.encoding.truncate import fit_object, split_text
from forklog.insert_id import InsertIds, id_of
from forklog.limits import MAX_ENTRY_BYTES, MAX_GROWTH, MAX_LABELS_BYTES, estimate
from forklog.severity import rank_of_level

# Left for a payload whatever the other fields are; their own limits add up to far less.
_MIN_ROOM = 20_000
_MIN_LABELS_ROOM = 10_000
_ABSENT = object()
_EXC_INFO_SIZE = 3
_APP_ENGINE = "gae_app"  # the monitored resource whose console reads the trace from a label
_TRACE_LABEL = "appengine.googleapis.com/trace_id"


class LenientEncoder:
    """Encode what the fast path and `StrictEncoder` cannot; for the arguments see `Encoder`."""

    def __init__(  # noqa: PLR0913, PLR0917 - as in `Encoder`
        self,
        format_record: Callable[[logging.LogRecord], str],
        labels: Mapping[str, str],
        project: Callable[[], str | None],
        context: Context,
        resource: Mapping[str, Any],
        additions: Additions = NO_ADDITIONS,
    ) -> None:
        """Keep what encoding needs."""
        self._additions = additions
        self._format = format_record
        self._shared = frozenset(labels)
        self._names_logger = names_logger(labels)
        self._project = project
        self._context = context
        self._resource_type = resource.get("type")
        self.has_plain_traces = self._resource_type != _APP_ENGINE
        """Whether a trace is a field alone."""
        # The server merges what the request says into each entry, and measures it then.
        shared_bytes = estimate(dict(labels))
        self._labels_room = max(_MIN_LABELS_ROOM, MAX_LABELS_BYTES - shared_bytes)
        self.room = max(_MIN_ROOM, MAX_ENTRY_BYTES - shared_bytes - estimate(dict(resource)))

    def encode(
        self, record: logging.LogRecord, ids: InsertIds, text: str | None
    ) -> list[tuple[int, bytes]]:
        """Return the entries of a record, each with its rank; the text is None if not made yet."""
        rank = rank_of_level(attribute_of(record, "levelno"))
        log_context = self._log_context(record)
        builder = self._new_builder(record, rank, log_context)
        if is_left_out(record):
            builder.repaired.add("jsonPayload")
        form = self._format if text is None else lambda _record: text
        payload = payload_of(record, form, log_context.fields or {}, self._added_to(record))
        return self._finished(builder, rank, ids, payload)

    def encode_given(
        self, record: logging.LogRecord, ids: InsertIds, payload: Any, *, is_repaired: bool
    ) -> list[tuple[int, bytes]]:
        """Return the entries of a record with another payload than its own."""
        rank = rank_of_level(attribute_of(record, "levelno"))
        builder = self._new_builder(record, rank, self._log_context(record))
        if is_repaired:
            builder.repaired.add("message")
        return self._finished(builder, rank, ids, payload)

    def as_filtered(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what google's filter would set on a record, the handler's labels aside."""
        log_context, name = self._log_context(record), attribute_of(record, "name")
        named = {"python_logger": safe_text(name)} if name and self._names_logger else None
        labels, _ = labels_of((named, log_context.labels, attribute_of(record, "labels")), ())
        return {
            "_resource": attribute_of(record, "resource"),
            "_trace": _given(record, "trace", self.full_trace(log_context.trace)),
            "_span_id": _given(record, "span_id", log_context.span_id),
            "_trace_sampled": bool(_given(record, "trace_sampled", log_context.sampled)),
            "_http_request": _given(record, "http_request", log_context.http_request),
            "_source_location": _given(record, "source_location", _location(record)),
            "_labels": labels or None,
        }

    def encode_request(
        self, done: FinishedRequest, ids: InsertIds, *, query: bool
    ) -> tuple[int, bytes]:
        """Return the severity rank and the entry of a request itself."""
        trace, own = self.full_trace(done.context.trace), self._additions.own_labels()
        rank, builder = request_entry(done, trace, own, self._shared, has_query=query)
        log = log_of_requests(self._project(), self._additions.log_name)
        builder.put_first("logName", to_json(log))
        return rank, builder.finish(ids, b"")

    def _finished(
        self, builder: EntryBuilder, rank: int, ids: InsertIds, payload: str | dict[str, Any] | None
    ) -> list[tuple[int, bytes]]:
        if payload is None:
            return [(rank, builder.finish(ids, b""))]
        room = max(_MIN_ROOM, self.room - builder.size())
        if isinstance(payload, str):
            return [(rank, entry) for entry in _text_entries(ids, builder, payload, room)]
        encoded = _bounded_object(payload, room, builder)
        return [(rank, builder.finish(ids, b',"jsonPayload":%b' % encoded))]

    def _added_to(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields that the handler's options add."""
        if not self._additions.adds_fields():
            return {}
        try:
            return self._additions.fields_of(dict(vars(record)))
        except Exception:  # noqa: BLE001 - a record class of the application
            return {}

    def _log_context(self, record: logging.LogRecord) -> LogContext:
        """Return what is known of the work that logs."""
        exc_info = attribute_of(record, "exc_info")
        is_whole = type(exc_info) is tuple and len(exc_info) == _EXC_INFO_SIZE
        return self._context.current(exc_info[1] if is_whole else None, record)

    def _new_builder(
        self, record: logging.LogRecord, rank: int, log_context: LogContext
    ) -> EntryBuilder:
        """Return an entry with all fields but insertId and payload."""
        builder = EntryBuilder(attribute_of(record, "created"), rank, self._shared)
        location = _given(record, "source_location", _location(record))
        builder.put("sourceLocation", location, source_location_of)
        resource = builder.put("resource", _given(record, "resource", None), resource_of)
        trace = _given(record, "trace", self.full_trace(log_context.trace))
        trace = builder.put("trace", trace, trace_of)
        builder.put("spanId", _given(record, "span_id", log_context.span_id), span_id_of)
        builder.put("traceSampled", _given(record, "trace_sampled", log_context.sampled), flag_of)
        builder.put(
            "httpRequest", _given(record, "http_request", log_context.http_request), http_request_of
        )
        is_app_engine = (resource["type"] if resource else self._resource_type) == _APP_ENGINE
        traced = {_TRACE_LABEL: trace} if trace and is_app_engine else None
        self._add_labels(record, builder, traced, log_context.labels)
        return builder

    def _add_labels(
        self,
        record: logging.LogRecord,
        builder: EntryBuilder,
        traced: dict[str, str] | None,
        of_task: Mapping[str, str] | None,
    ) -> None:
        """Collect labels: the logger's name, what google's filter has set, ``extra=``."""
        given_name = attribute_of(record, "name")
        name = "" if given_name is None else safe_text(given_name)
        named = {"python_logger": name} if name and self._names_logger else None
        filtered = self._filtered(attribute_of(record, "_labels"))
        own = self._additions.own_labels()
        given = (traced, named, own, of_task, filtered, attribute_of(record, "labels"))
        if builder.label(given, self._labels_room):
            builder.repaired.add("labels")

    def _filtered(self, labels: Any) -> Any:
        """Return the labels that google's filter has set, less a name that the handler gives."""
        if "python_logger" in self._shared and type(labels) is dict:
            return {name: item for name, item in labels.items() if name != "python_logger"}
        return labels

    def full_trace(self, trace: str | None) -> str | None:
        """Return a trace with its project, if that is known by now."""
        project = self._project()
        return f"projects/{project}/traces/{trace}" if trace and project else trace


def _given(record: logging.LogRecord, name: str, otherwise: Any) -> Any:
    """Return a field of ``extra=``, or what google's CloudLoggingFilter has set, or a default."""
    given = attribute_of(record, name, _ABSENT)
    if given is not _ABSENT:
        return given
    found = attribute_of(record, f"_{name}")
    return otherwise if found is None else found


def _location(record: logging.LogRecord) -> dict[str, Any]:
    """Return where the record was made, as far as it says so."""
    places = ("file", "pathname"), ("line", "lineno"), ("function", "funcName")
    return {name: attribute_of(record, attribute) for name, attribute in places}


def _bounded_object(payload: dict[str, Any], room: int, builder: EntryBuilder) -> bytes:
    encoded, plain = encoded_or_copied(payload)
    if encoded:
        if len(encoded) * MAX_GROWTH <= room:
            return encoded
        plain = orjson.loads(encoded)
    if estimate(plain) > room:
        builder.repaired.add("jsonPayload")
        plain = fit_object(plain, room)
    return orjson.dumps(plain)


def _text_entries(ids: InsertIds, builder: EntryBuilder, text: str, room: int) -> list[bytes]:
    """Encode a text payload; one that is too long as several entries marked with ``split``."""
    if len(text) * 4 <= room or len(text.encode()) <= room:
        return [builder.finish(ids, b',"textPayload":%b' % to_json(text))]
    pieces = split_text(text, room)
    uid = id_of(ids.opening())
    entries = []
    for index, piece in enumerate(pieces):
        split = to_json({"uid": uid, "index": index, "totalSplits": len(pieces)})
        entries.append(
            builder.finish(ids, b',"split":%b,"textPayload":%b' % (split, to_json(piece)))
        )
    return entries


def drop_notice(
    ids: InsertIds, number: int, reason: str, shared: Mapping[str, str]
) -> tuple[int, bytes]:
    """Make the entry by which the log itself says that entries were dropped.

    ``shared`` are the handler's labels: beside 64 of them the notice has none of its own.
    """
    rank = rank_of_level(logging.WARNING)
    builder = EntryBuilder(time.time(), rank, frozenset())
    if names_logger(shared):
        builder.label(({"python_logger": "forklog"},))
    payload = {"message": f"forklog dropped {number} entries ({reason})", "dropped": number,
               "reason": reason}  # fmt: skip
    return rank, builder.finish(ids, b',"jsonPayload":%b' % to_json(payload))
