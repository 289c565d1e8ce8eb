"""Adds to an entry what its request would hold: log, resource, labels; for a last resort.

Pure. So a line can be sent later by whoever finds it: `forklog recover`, or a person.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson

from forklog.limits import PROJECTLESS_LOG
from forklog.transports.base import Envelope

_OPENING = b'"logName":"projects/%b/logs/'


def addressed(entry: bytes, envelope: Envelope) -> bytes:
    """Return an entry as JSON with log, resource and labels; as it is where it is no object.

    A project that is not known leaves its place in the log's name empty.
    """
    project = (envelope.project or "").encode()
    try:
        whole: dict[str, Any] = orjson.loads(entry.replace(PROJECTLESS_LOG, _OPENING % project, 1))
        if "logName" not in whole:
            name = quote(envelope.log_name, safe="")
            whole["logName"] = f"projects/{envelope.project or ''}/logs/{name}"
        if envelope.resource is not None:
            whole.setdefault("resource", dict(envelope.resource))
        labels = {**envelope.labels, **whole.get("labels", {})}
        if labels:
            whole["labels"] = labels
        return orjson.dumps(whole)
    except (ValueError, TypeError):
        return entry
