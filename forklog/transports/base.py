"""Step 8, the seam: the flusher sends through it, the http and fake transports implement it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forklog.errors import ForklogError

__all__ = ["Answer", "Connection", "Place", "Transport", "WireError"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer comes from and who had asked, for what is said about it."""

    project: str = "?"
    account: str = "this account"
    endpoint: str = "the endpoint"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: HTTP status, body, headers that matter; and where."""

    status: int
    body: bytes = b""
    retry_after: float | None = None
    """Seconds of a Retry-After header."""
    place: Place = Place()
    content_type: str = ""
    repeats: int = 0
    """Further requests that it took, such as one with a renewed token."""
    diverted: int | None = None
    """So many entries, from the first on, were written to stderr; no server has them."""


class WireError(ForklogError):
    """An attempt that brought no answer; its text holds no credentials and no payload."""

    def __init__(
        self, text: str, *, is_blocked: bool = False, is_stale_connection: bool = False
    ) -> None:
        """Say what happened; blocked means that only a person can mend it."""
        super().__init__(text)
        self.is_blocked = is_blocked
        self.is_stale_connection = is_stale_connection


class Connection(Protocol):
    """An open way to the server, used by one thread of one process."""

    def send(self, entries: Sequence[bytes], timeout: float) -> Answer:
        """Send entries (each one JSON object) in one request and wait for the answer.

        Args:
            entries: LogEntry objects as UTF-8 JSON; sent unchanged.
            timeout: seconds that the whole request may take, connecting included.

        Raises:
            WireError: there was no answer.
        """
        ...

    def close(self) -> None:
        """Close what is open in this process. Never raises."""
        ...


class Transport(Protocol):
    """A factory of connections; shared by all processes, so it holds nothing that is open."""

    def open(self) -> Connection:
        """Open a connection in this process. May block for the network.

        Raises:
            WireError: not possible now; it is tried again later.
        """
        ...
