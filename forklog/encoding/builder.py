"""Builds one entry: takes its fields from `LenientEncoder`, gives its bytes back.

Gathers the fields as JSON, remembers which of them had to be repaired, and says so in the label
``forklog_repaired``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from forklog.context.base import FinishedRequest
from forklog.encoding.jsonable import to_json
from forklog.encoding.labels import labels_of
from forklog.encoding.repair import flag_of, http_request_of, span_id_of, trace_of
from forklog.encoding.timestamps import timestamp_of
from forklog.insert_id import InsertIds
from forklog.limits import MAX_LABELS, MAX_LABELS_BYTES, REQUEST_LOG_SUFFIX, estimate
from forklog.severity import SEVERITIES, rank_of_status

REPAIRED_LABEL = "forklog_repaired"


class EntryBuilder:
    """An entry in the making: its final fields, its labels, and what had to be repaired."""

    def __init__(self, created: object, rank: int, shared: frozenset[str]) -> None:
        """Begin with what every entry has; ``shared`` are the handler's labels."""
        self._stamp, changed = timestamp_of(created, time.time())
        self.fields = {"severity": b'"%b"' % SEVERITIES[rank]}
        self.labels: dict[str, str] = {}
        self.repaired = {"timestamp"} if changed else set()
        self._shared = shared

    def put(self, name: str, given: Any, repair: Callable[[Any], tuple[Any, bool]]) -> Any:
        """Add and return what the repair makes of a given value; mark it if that is not the same.

        What is given as nothing (None, an empty text or mapping) is left out, and no mistake.
        """
        if given is None:
            return None
        try:
            value, is_changed = repair(given)
            is_changed = is_changed and bool(given)
        except Exception:  # noqa: BLE001 - methods of the application
            value, is_changed = None, True
        if value:
            self.fields[name] = to_json(value)
        if is_changed:
            self.repaired.add(name)
        return value

    def put_first(self, name: str, value: bytes) -> None:
        """Add a field, as JSON, before all others."""
        self.fields = {name: value, **self.fields}

    def label(self, given: Iterable[object], room: int = MAX_LABELS_BYTES) -> bool:
        """Set the labels, of several sources; tell whether some had to be changed."""
        self.labels, is_changed = labels_of(given, self._shared, room)
        return is_changed

    def size(self) -> int:
        """Return at least what the fields take inside Cloud Logging, the mark included."""
        return sum(map(len, self.fields.values())) + estimate(self.labels) + 1024

    def finish(self, ids: InsertIds, payload: bytes) -> bytes:
        """Return the entry; may be called again, for the next piece of a split one."""
        labels = self._marked() if self.repaired else self.labels
        fields = {**self.fields, "labels": to_json(labels)} if labels else self.fields
        parts = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items())
        return b'%b","timestamp":"%b",%b%b}' % (ids.opening(), self._stamp, parts, payload)

    def _marked(self) -> dict[str, str]:
        """Return the labels with the mark, in place of the last one if there is no room."""
        labels = {**self.labels, REPAIRED_LABEL: ",".join(sorted(self.repaired))}
        if len(self._shared | labels.keys()) > MAX_LABELS:
            own = [name for name in labels if name not in self._shared]
            del labels[own[-2] if len(own) > 1 else REPAIRED_LABEL]
        return labels


def request_entry(
    done: FinishedRequest,
    trace: str | None,
    labels: Mapping[str, str],
    shared: frozenset[str],
    *,
    has_query: bool,
) -> tuple[int, EntryBuilder]:
    """Return the severity rank and all fields of the entry but its log.

    Args:
        done: the request.
        trace: its trace with the project.
        labels: those of the process.
        shared: the handler's labels.
        has_query: whether the URL has its query string.
    """
    fields: dict[str, Any] = {k: v for k, v in done.fields.items() if v is not None}
    if has_query and done.query and "requestUrl" in fields:
        fields["requestUrl"] += f"?{done.query}"
    rank = max(done.rank, rank_of_status(fields["status"]))
    # From its begin on, so that it stands before the records of the request.
    builder = EntryBuilder(done.started, rank, shared)
    builder.put("httpRequest", fields, http_request_of)
    builder.put("trace", trace, trace_of)
    builder.put("spanId", done.context.span_id, span_id_of)
    builder.put("traceSampled", done.context.sampled, flag_of)
    builder.label((labels, done.context.labels))
    return rank, builder


def log_of_requests(project: str | None, log_name: str) -> str:
    """Return the log's full name; a connection fills in a project that is not known yet."""
    return f"projects/{project or ''}/logs/{quote(log_name + REQUEST_LOG_SUFFIX, safe='')}"
