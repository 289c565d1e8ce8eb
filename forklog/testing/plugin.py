"""Gives tests the fixtures of forklog; ``pytest_plugins`` in a conftest.py names this module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from forklog.handler import CloudLoggingHandler
from forklog.testing.transport import FakeTransport


class CloudLog:
    """What a test sees of the log: the handler on the root logger, and what it has delivered."""

    def __init__(self, handler: CloudLoggingHandler, transport: FakeTransport) -> None:
        """Join the two."""
        self.handler = handler
        self.transport = transport

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Everything that this process has logged so far, as delivered, in order.

        Flushes first. Entries of children are in it once those have delivered them; wait for them
        with ``transport.wait_for``.
        """
        self.handler.flush()
        return self.transport.entries

    @property
    def messages(self) -> list[str]:
        """The text payloads of `entries`; for a JSON payload its ``message``."""
        return [_message(entry) for entry in self.entries]


def _message(entry: dict[str, Any]) -> str:
    text = entry.get("textPayload")
    return str(entry.get("jsonPayload", {}).get("message", "")) if text is None else str(text)


@pytest.fixture
def forklog_transport() -> Iterator[FakeTransport]:
    """Give a `FakeTransport`, for a handler that the test builds itself."""
    transport = FakeTransport()
    yield transport
    transport.release()
    transport.close()


@pytest.fixture
def cloud_logging(forklog_transport: FakeTransport) -> Iterator[CloudLog]:
    """Attach a handler to the root logger, which logs all levels during the test."""
    root = logging.getLogger()
    level = root.level
    handler = CloudLoggingHandler(
        transport=forklog_transport, project="test-project", max_latency=0.0, last_resort="none"
    )
    root.addHandler(handler)
    root.setLevel(logging.NOTSET + 1)
    yield CloudLog(handler, forklog_transport)
    root.setLevel(level)
    root.removeHandler(handler)
    forklog_transport.release()
    handler.close()
