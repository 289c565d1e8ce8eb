"""Gives the encoder what the handler's options add: fields of ``extra=``, service, own labels.

LoggerAdapter, structlog and loguru give fields by ``extra=``. Pure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_KNOWN = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "asctime",
    "http_request",
    "json_fields",
    "labels",
    "message",
    "resource",
    "source_location",
    "span_id",
    "taskName",
    "trace",
    "trace_sampled",
    # What google's filter sets.
    "_http_request",
    "_http_request_str",
    "_labels",
    "_labels_str",
    "_msg_str",
    "_resource",
    "_source_location",
    "_source_location_str",
    "_span_id",
    "_span_id_str",
    "_trace",
    "_trace_sampled",
    "_trace_sampled_str",
    "_trace_str",
}
_LOGURU = "extra"  # its records have all bound fields in one dict of this name


def extra_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a record that neither logging nor forklog knows."""
    unknown = given.keys() - _KNOWN
    if not unknown:
        return {}
    fields = {name: given[name] for name in given if name in unknown}
    if fields.get(_LOGURU).__class__ is dict:
        fields = {**fields.pop(_LOGURU), **fields}
    return fields


class Additions(NamedTuple):
    """What the handler's options add to entries."""

    extra_fields: bool = False
    """Whether unknown names of ``extra=`` become fields."""
    service: Mapping[str, str] | None = None
    """The ``serviceContext`` of errors, by which Error Reporting names the service."""
    own_labels: Callable[[], Mapping[str, str]] = dict
    """Returns the labels of this process; called again after a fork."""
    log_name: str = "python"

    def adds_fields(self) -> bool:
        """Tell whether `fields_of` may give any."""
        return self.extra_fields or self.service is not None

    def fields_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that the attributes of a record give."""
        fields: dict[str, Any] = {}
        has_traceback = given.get("exc_info") or given.get("exc_text")
        if self.service is not None and has_traceback and given["levelno"] >= logging.ERROR:
            fields["serviceContext"] = self.service
        if self.extra_fields:
            fields.update(extra_fields(given))
        return fields


NO_ADDITIONS = Additions()
