"""The control connection to the sink, used by the runner and by the subjects' processes."""

from __future__ import annotations

import json
import socket
from typing import Any


class SinkClient:
    """Give orders to the sink; one order at a time."""

    def __init__(self, control_port: int) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", control_port))
        self._file = self._socket.makefile("rb")

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one order and return its answer. Blocks."""
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._file.readline())
        return answer

    def open(self, wire: str, delay: float = 0.0) -> Door:
        """Have the sink open another port."""
        return Door(self, self.ask(open=wire, delay=delay)["port"])

    def close(self) -> None:
        """Close the control connection."""
        self._file.close()
        self._socket.close()


class Door:
    """One port of the sink and what came through it."""

    def __init__(self, client: SinkClient, port: int) -> None:
        """Remember both."""
        self._client = client
        self.port = port
        self.expected = 0
        """Records that were logged towards this port so far."""

    def counts(self) -> dict[str, Any]:
        """Return requests, records, bytes, and the CPU seconds of the sink."""
        return self._client.ask(counts=self.port)

    def wait(self, timeout: float = 60.0) -> dict[str, Any]:
        """Return the counts once all that is expected has arrived, or after `timeout` seconds."""
        return self._client.ask(wait=self.port, records=self.expected, timeout=timeout)

    def close(self) -> None:
        """Close the port."""
        self._client.ask(close=self.port)
