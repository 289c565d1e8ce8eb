"""Reads from the server's answer 429 which quota refused the request; for http_verdict. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from forklog.stderr.printable import printable
from forklog.transports.base import Quota

_LIMIT = re.compile(r"\blimit '([^']{1,100})'")
_ERROR_INFO = "google.rpc.ErrorInfo"


def quota_of(error: Mapping[str, object]) -> Quota:
    """Return the quota that the ``error`` of a 429 names: in its text, else in its `ErrorInfo`.

    The text has the name that the console shows, such as ``Write requests per minute``.
    """
    found = _LIMIT.search(printable(error.get("message")))
    info = _info_of(error.get("details"))
    name = found[1] if found else printable(info.get("quota_limit", ""), 100)
    about = f"{name} {info.get('quota_metric', '')} {info.get('quota_limit', '')}"
    return Quota(name, is_of_bytes="byte" in about.lower())


def _info_of(details: object) -> Mapping[str, object]:
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_ERROR_INFO):
            metadata = detail.get("metadata")
            return metadata if isinstance(metadata, dict) else {}
    return {}
