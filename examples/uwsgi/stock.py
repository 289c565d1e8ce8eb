"""The handler of google-cloud-logging, for the comparison: app.py with EXAMPLE_HANDLER=stock."""

from __future__ import annotations

import os

import google.cloud.logging
from google.auth.credentials import AnonymousCredentials
from google.cloud.logging.handlers import CloudLoggingHandler


def make_handler(project: str, log_name: str, labels: dict[str, str]) -> CloudLoggingHandler:
    """Build the handler with a client of the emulator, or of Google if there is no emulator."""
    if host := os.environ.get("LOGGING_EMULATOR_HOST"):
        client = google.cloud.logging.Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://{host}"},
            _use_grpc=False,  # the emulator speaks HTTP; gRPC does no better across a fork
        )
    else:
        client = google.cloud.logging.Client(project=project)
    # Given, because finding it asks the network at import.
    resource = google.cloud.logging.Resource(type="global", labels={"project_id": project})
    return CloudLoggingHandler(client, name=log_name, labels=labels, resource=resource)
