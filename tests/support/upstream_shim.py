"""A conftest for google-cloud-logging's own tests: forklog stands where their classes look.

Copied beside the upstream tests by `tests/contract/test_upstream.py`. It translates, and decides
nothing. What a transport class of a test would have been sent is read off the entry that forklog
made. The fields that the stock handler prints though they are empty are put back.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import unittest.mock
from typing import Any

import google.cloud.logging
import google.cloud.logging_v2
import google.cloud.logging_v2.handlers
from google.cloud.logging_v2.handlers import (
    _helpers,
    _monitored_resources,
    handlers,
    structured_log,
)
from google.cloud.logging_v2.resource import Resource

import forklog
from forklog.context.base import Context, LogContext, Source
from forklog.context.headers import parse_headers
from forklog.context.sources import SOURCES
from forklog.encoding.payload import payload_of
from forklog.testing import FakeTransport
from forklog.transports.google.resource import detect_resource

_GOOGLE = "logging.googleapis.com/"


class CloudLoggingHandler(forklog.CloudLoggingHandler):
    """forklog's handler, whose entries are shown to a transport class of the tests."""

    def __init__(self, client: Any, *, transport: Any = None, **options: Any) -> None:
        """Take what the stock constructor takes."""
        self._wire = FakeTransport()
        self.stream = options.get("stream") or sys.stderr
        project = client.project.lower()
        super().__init__(transport=self._wire, max_latency=0, project=project, **options)
        client._handlers.add(self)
        self.client, self.project_id = client, client.project
        self._shown_class, self._transport_open = transport, False
        self._open()

    def _open(self) -> None:
        if self._shown_class is not None and not self._transport_open:
            self.transport = self._shown_class(self.client, self.name, resource=self.resource)
            self._transport_open = True

    def handle(self, record: logging.LogRecord) -> Any:
        """Deliver, and show the transport what the stock handler would send it."""
        self._open()
        before = len(self._wire.entries)
        passed = super().handle(record)
        assert self._flush_pipeline(10)
        (entry,) = self._wire.entries[before:]
        given = entry.get("resource")
        resource = Resource(**{"labels": {}, **given}) if given else self.resource
        labels = {**(self.labels or {}), **entry.get("labels", {})}
        self.transport.send_called_with = (
            record,
            entry.get("textPayload", entry.get("jsonPayload")),
            resource,
            labels or None,
            entry.get("trace"),
            entry.get("spanId"),
            entry.get("traceSampled", False),
            entry.get("httpRequest"),
            entry.get("sourceLocation"),
        )
        return passed

    emit = forklog.CloudLoggingHandler.emit

    def close(self) -> None:
        """Close forklog's handler and the transport that is shown."""
        super().close()
        if self._transport_open:
            self.transport.close()
            self._transport_open = False


class StructuredLogHandler(forklog.StructuredLogHandler):
    """forklog's handler, whose lines have the stock one's empty fields and no time."""

    def __init__(self, **options: Any) -> None:
        """Take what the stock constructor takes."""
        project = options.pop("project_id", None)
        super().__init__(project_id=project and project.lower(), **options)
        self.project_id = project
        self._json_encoder_cls = options.get("json_encoder_cls") or json.JSONEncoder

    def format(self, record: logging.LogRecord) -> str:
        """Return the line as the stock handler would have it."""
        fields = json.loads(super().format(record))
        fields.pop("time")
        place = fields.get(f"{_GOOGLE}sourceLocation", {})
        if "line" in place:
            place["line"] = int(place["line"])
        empty = {"trace": "", "spanId": "", "trace_sampled": False, "labels": {}}
        for name, value in {**empty, "sourceLocation": {}}.items():
            fields.setdefault(f"{_GOOGLE}{name}", value)
        fields.setdefault("httpRequest", {})
        return json.dumps(fields)


def _detect(project: str = "") -> Resource:
    def read(key: str) -> Any:
        return _monitored_resources.retrieve_metadata_server(key)

    return Resource(**detect_resource(project, os.environ, read))


def _parse_message(record: logging.LogRecord, handler: logging.Handler) -> Any:
    return payload_of(record, handler.format)


_current = {source.module: source.current for source in SOURCES}
_FLASK, _SPANS = "flask", "opentelemetry.trace"
_DJANGO = "google.cloud.logging_v2.handlers.middleware.request"


def _four(known: LogContext | None) -> tuple[Any, ...]:
    """Return what google's helpers return: request, trace, span, sampled."""
    known = known or LogContext()
    return known.http_request, known.trace, known.span_id, known.sampled


def _asking(name: str) -> Any:
    """Return a source that asks one of google's helpers, which the tests replace."""

    def ask() -> LogContext | None:
        request, trace, span, is_sampled = getattr(_helpers, name)()
        return LogContext(trace, span, is_sampled, request) if request else None

    return ask


def _request_data() -> tuple[Any, ...]:
    """Return what forklog makes of what both frameworks and OpenTelemetry know."""
    names = {_FLASK: "get_request_data_from_flask", _DJANGO: "get_request_data_from_django"}
    known = [
        source._replace(current=_asking(names[source.module])) if source.module in names else source
        for source in SOURCES
    ]
    return _four(Context([Source(*source) for source in known]).current())


_helpers.get_request_data = _request_data
_helpers.get_request_data_from_flask = lambda: _four(_current[_FLASK]())
_helpers.get_request_data_from_django = lambda: _four(_current[_DJANGO]())
_helpers._retrieve_current_open_telemetry_span = lambda: _four(_current[_SPANS]())[1:]
_helpers._parse_trace_parent = lambda header: parse_headers(header, None)
_helpers._parse_xcloud_trace = lambda header: parse_headers(None, header)
sys.modules.setdefault("mock", unittest.mock)
for _module in (handlers, google.cloud.logging_v2.handlers, google.cloud.logging.handlers):
    _module.CloudLoggingHandler = CloudLoggingHandler
    _module.StructuredLogHandler = StructuredLogHandler
structured_log.StructuredLogHandler = StructuredLogHandler
handlers._format_and_parse_message = _parse_message
_monitored_resources.detect_resource = _detect
