"""google-cloud-logging's own handler, by both of its wires."""

from __future__ import annotations

import logging

import google.cloud.logging
import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.logging.handlers import CloudLoggingHandler
from google.cloud.logging_v2._gapic import _LoggingAPI
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import (
    LoggingServiceV2GrpcTransport,
)

from benchmarks import work
from benchmarks.subjects.subject import Subject


class _Stock(Subject):
    extra = work.EXTRA
    carries_trace = True

    def build(self, port: int) -> logging.Handler:
        """Return the handler with its defaults: a background thread, batches of ten."""
        resource = google.cloud.logging.Resource(type="global", labels={"project_id": "bench"})
        return CloudLoggingHandler(self._client(port), name="bench", resource=resource)

    def _client(self, port: int) -> google.cloud.logging.Client:
        raise NotImplementedError


class StockHttp(_Stock):
    """By HTTP and JSON, which it uses where gRPC is not installed."""

    wire = "http"

    def _client(self, port: int) -> google.cloud.logging.Client:
        return google.cloud.logging.Client(
            project="bench",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
            _use_grpc=False,
        )


class StockGrpc(_Stock):
    """By gRPC, its default.

    Only the channel is ours, without TLS, as all wires of a run: the rest is built as
    `google.cloud.logging_v2._gapic.make_logging_api` builds it.
    """

    wire = "grpc"

    def _client(self, port: int) -> google.cloud.logging.Client:
        client = google.cloud.logging.Client(project="bench", credentials=AnonymousCredentials())
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        transport = LoggingServiceV2GrpcTransport(channel=channel)
        client._logging_api = _LoggingAPI(LoggingServiceV2Client(transport=transport), client)  # noqa: SLF001
        return client
