"""OpenTelemetry's logs: handler, batch processor, OTLP over HTTP."""

from __future__ import annotations

import logging
import warnings

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from benchmarks import work
from benchmarks.subjects.subject import Subject

_QUEUE = 2**20  # its default of 2,048 drops most of a burst


class OpenTelemetry(Subject):
    """The SDK with its defaults, but a queue that loses nothing."""

    wire = "http"
    extra = {**work.FIELDS, **work.LABELS}  # noqa: RUF012 - attributes have one level
    carries_trace = True

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        self._provider = LoggerProvider()
        exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs")
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(exporter, max_queue_size=_QUEUE)
        )
        with warnings.catch_warnings():  # the class has moved to the instrumentation package
            warnings.simplefilter("ignore", DeprecationWarning)
            return LoggingHandler(level=logging.INFO, logger_provider=self._provider)

    def hurry(self) -> None:
        """Export all."""
        self._provider.force_flush(60_000)
