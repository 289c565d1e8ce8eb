"""Step 3, the full road: any LogRecord to entries that the API accepts; called by the encoder.

Takes the payload from `forklog.payload`, mends every other field with `forklog.repair`, keeps the
whole within the limits. What had to be left out or changed is named in the label
``forklog_repaired``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from forklog.clean import safe_text, to_json
from forklog.context import Context
from forklog.insert_id import InsertIds
from forklog.labels import MAX_LABELS, labels_of, names_logger
from forklog.limits import (
    MAX_ENTRY_BYTES,
    MAX_GROWTH,
    cut_bytes,
    estimate,
    fit_object,
    split_text,
)
from forklog.payload import payload_of
from forklog.repair import (
    http_request_of,
    location_of,
    resource_of,
    source_location_of,
    span_id_of,
    timestamp_of,
)

__all__ = ["SEVERITIES", "FullRoad", "drop_notice", "rank_of_level"]

SEVERITIES = (
    b"DEFAULT", b"DEBUG", b"INFO", b"NOTICE", b"WARNING",
    b"ERROR", b"CRITICAL", b"ALERT", b"EMERGENCY",
)  # fmt: skip
_LEVELS = ((logging.CRITICAL, 6), (logging.ERROR, 5), (logging.WARNING, 4), (logging.INFO, 2),
           (logging.DEBUG, 1))  # fmt: skip
_MARK = "forklog_repaired"
# Left for a payload whatever the other fields are; their own limits add up to far less.
_MIN_ROOM = 20_000
_MAX_TRACE_BYTES = 1024


def rank_of_level(level: object) -> int:
    """Return the severity's rank for a level of logging: that of the nearest lower standard one."""
    if isinstance(level, (int, float)):
        for standard, rank in _LEVELS:
            if level >= standard:
                return rank
    return 0


class FullRoad:
    """Encode what the short road cannot; for the arguments see `forklog.entry.Encoder`."""

    def __init__(
        self,
        format_record: Callable[[logging.LogRecord], str],
        labels: Mapping[str, str],
        project: Callable[[], str | None],
        context: Context,
    ) -> None:
        """Keep what encoding needs."""
        self._format = format_record
        self._shared = frozenset(labels)
        self._names_logger = names_logger(labels)
        self._project = project
        self._context = context
        # The server merges the handler's labels into each entry, and measures it then.
        self.room = max(_MIN_ROOM, MAX_ENTRY_BYTES - estimate(dict(labels)))

    def encode(self, record: logging.LogRecord, ids: InsertIds) -> list[tuple[int, bytes]]:
        """Return the entries of a record, each with its rank."""
        rank = rank_of_level(record.levelno)
        draft = self._draft(record, rank)
        payload = payload_of(record, self._format)
        if payload is None:
            return [(rank, draft.finish(ids, b""))]
        room = max(_MIN_ROOM, self.room - draft.size())
        if isinstance(payload, str):
            return [(rank, entry) for entry in _text_entries(ids, draft, payload, room)]
        encoded = _bounded_object(payload, room, draft)
        return [(rank, draft.finish(ids, b',"jsonPayload":%b' % encoded))]

    def _draft(self, record: logging.LogRecord, rank: int) -> _Draft:
        """Return an entry with all fields but insertId and payload."""
        draft = _Draft(record.created, rank, self._shared)
        extra = record.__dict__
        self._add_labels(record, draft)
        location = _given(extra, "source_location", location_of(record))
        draft.put("sourceLocation", location, source_location_of)
        draft.put("resource", _given(extra, "resource", None), resource_of)
        task = self._context.current()
        draft.put("trace", _given(extra, "trace", self._full_trace(task.trace)), _trace_of)
        draft.put("spanId", _given(extra, "span_id", task.span_id), span_id_of)
        draft.put("traceSampled", _given(extra, "trace_sampled", task.sampled), bool)
        draft.put("httpRequest", _given(extra, "http_request", task.http_request), http_request_of)
        return draft

    def _add_labels(self, record: logging.LogRecord, draft: _Draft) -> None:
        """Collect labels: the logger's name, what google's filter has set, ``extra=``."""
        extra = record.__dict__
        given_name = extra["name"]
        name = "" if given_name is None else safe_text(given_name)
        named = {"python_logger": name} if name and self._names_logger else None
        given = (named, self._filtered(extra.get("_labels")), extra.get("labels"))
        draft.labels, changed = labels_of(given, self._shared)
        if changed:
            draft.repaired.add("labels")

    def _filtered(self, labels: Any) -> Any:
        """Return the labels that google's filter has set, less a name that the handler gives."""
        if "python_logger" in self._shared and type(labels) is dict:
            return {name: item for name, item in labels.items() if name != "python_logger"}
        return labels

    def _full_trace(self, trace: str | None) -> str | None:
        project = self._project()
        return f"projects/{project}/traces/{trace}" if trace and project else trace


class _Draft:
    """An entry in the making: its final fields, its labels, and what had to be repaired."""

    def __init__(self, created: object, rank: int, shared: frozenset[str]) -> None:
        """Begin with what every entry has; ``shared`` are the handler's labels."""
        stamp, changed = timestamp_of(created, time.time())
        self.fields = {"timestamp": b'"%b"' % stamp, "severity": b'"%b"' % SEVERITIES[rank]}
        self.labels: dict[str, str] = {}
        self.repaired = {"timestamp"} if changed else set()
        self._shared = shared

    def put(self, name: str, given: Any, repair: Callable[[Any], object]) -> None:
        """Add what the repair makes of a given value; nothing, and a mark, if it cannot."""
        if given is None:
            return
        try:
            value = repair(given)
            is_wrong = not value and bool(given)
        except Exception:  # noqa: BLE001 - methods of the application
            value, is_wrong = None, True
        if value:
            self.fields[name] = to_json(value)
        elif is_wrong:
            self.repaired.add(name)

    def size(self) -> int:
        """Return at least what the fields take inside Cloud Logging, the mark included."""
        return sum(map(len, self.fields.values())) + estimate(self.labels) + 1024

    def finish(self, ids: InsertIds, payload: bytes) -> bytes:
        """Return the entry; may be called again, for the next piece of a split one."""
        labels = self._marked() if self.repaired else self.labels
        fields = {**self.fields, "labels": to_json(labels)} if labels else self.fields
        parts = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items())
        return b'%b%010x",%b%b}' % (ids.head, ids.number(), parts, payload)

    def _marked(self) -> dict[str, str]:
        """Return the labels with the mark, in place of the last one if there is no room."""
        labels = {**self.labels, _MARK: ",".join(sorted(self.repaired))}
        if len(self._shared | labels.keys()) > MAX_LABELS:
            own = [name for name in labels if name not in self._shared]
            del labels[own[-2] if len(own) > 1 else _MARK]
        return labels


def _given(extra: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """Return a field of ``extra=``, or what google's CloudLoggingFilter has set, or a default."""
    if name in extra:
        return extra[name]
    found = extra.get(f"_{name}")
    return otherwise if found is None else found


def _trace_of(value: object) -> str | None:
    return cut_bytes(safe_text(value), _MAX_TRACE_BYTES) if isinstance(value, str) else None


def _bounded_object(payload: dict[str, Any], room: int, draft: _Draft) -> bytes:
    encoded = to_json(payload)
    if len(encoded) * MAX_GROWTH > room:
        plain = orjson.loads(encoded)
        if estimate(plain) > room:
            draft.repaired.add("jsonPayload")
            encoded = to_json(fit_object(plain, room))
    return encoded


def _text_entries(ids: InsertIds, draft: _Draft, text: str, room: int) -> list[bytes]:
    """Encode a text payload; one that is too long as several entries marked with ``split``."""
    if len(text) * 4 <= room or len(text.encode()) <= room:
        return [draft.finish(ids, b',"textPayload":%b' % to_json(text))]
    pieces = split_text(text, room)
    uid = f"{ids.head[-19:].decode()}{ids.number():010x}"
    entries = []
    for index, piece in enumerate(pieces):
        split = to_json({"uid": uid, "index": index, "totalSplits": len(pieces)})
        entries.append(draft.finish(ids, b',"split":%b,"textPayload":%b' % (split, to_json(piece))))
    return entries


def drop_notice(ids: InsertIds, number: int, reason: str) -> tuple[int, bytes]:
    """Make the entry by which the log itself says that entries were dropped."""
    rank = rank_of_level(logging.WARNING)
    draft = _Draft(time.time(), rank, frozenset())
    draft.labels = {"python_logger": "forklog"}
    payload = {"message": f"forklog dropped {number} entries ({reason})", "dropped": number,
               "reason": reason}  # fmt: skip
    return rank, draft.finish(ids, b',"jsonPayload":%b' % to_json(payload))
