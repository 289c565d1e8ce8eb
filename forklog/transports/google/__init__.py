"""What is Google's alone: credentials, tokens, metadata server, resource, its own client."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forklog.transports.google.client import ClientTransport

__all__ = ["ClientTransport"]


def __getattr__(name: str) -> Any:
    """Import the wire of Google's own client where it is asked for."""
    if name != "ClientTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module("forklog.transports.google.client")
    except ImportError as error:
        remedy = "install forklog with its extra google"
        raise ImportError(f"ClientTransport needs google-cloud-logging: {remedy}") from error
    return module.ClientTransport
