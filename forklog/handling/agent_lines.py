"""From an entry to the line of JSON that Google's agents collect; used by `StructuredLogHandler`.

https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from forklog.encoding.builder import REPAIRED_LABEL

_OF_GOOGLE = "logging.googleapis.com/"
_NAMES = {
    "severity": "severity",
    "timestamp": "time",
    "trace": f"{_OF_GOOGLE}trace",
    "spanId": f"{_OF_GOOGLE}spanId",
    "traceSampled": f"{_OF_GOOGLE}trace_sampled",
    "sourceLocation": f"{_OF_GOOGLE}sourceLocation",
    "httpRequest": "httpRequest",
}
_LABELS = f"{_OF_GOOGLE}labels"
# What an agent would take for a field of the entry. A payload's key of such a name is left out, as
# the stock handler has it, and named in the label `forklog_repaired`.
_TAKEN = frozenset([
    *_NAMES.values(), _LABELS, "timestamp", "timestampSeconds", "timestampNanos",
    f"{_OF_GOOGLE}insertId", f"{_OF_GOOGLE}operation",
])  # fmt: skip


def line_of(entry: bytes, shared: Mapping[str, str]) -> str:
    """Return an entry's line, without the newline; ``shared`` are the handler's labels."""
    fields = orjson.loads(entry)
    payload = fields.get("jsonPayload", {})
    if "textPayload" in fields:
        payload = {"message": fields["textPayload"]}
    line = {name: value for name, value in payload.items() if name not in _TAKEN}
    if "split" in fields:
        line["split"] = fields["split"]
    line.update((_NAMES[name], fields[name]) for name in _NAMES if name in fields)
    labels = {**shared, **fields.get("labels", {})}
    taken = [*filter(None, labels.get(REPAIRED_LABEL, "").split(","))]
    taken += [name for name in payload if name in _TAKEN]
    if taken:
        labels[REPAIRED_LABEL] = ",".join(sorted(taken))
    if labels:
        line[_LABELS] = labels
    return orjson.dumps(line).decode()
