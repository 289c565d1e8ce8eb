"""The seam between delivery and the wire: a wire sends a batch and judges the answer itself."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from forklog.drops import REFUSED
from forklog.errors import ForklogError

if TYPE_CHECKING:
    from forklog.options import Options

__all__ = [
    "Connection",
    "Envelope",
    "EnvelopeConnection",
    "Kind",
    "Origin",
    "Quota",
    "Transport",
    "Verdict",
    "WireError",
    "verdict_of",
]


class Kind(enum.Enum):
    """What to do with a batch after an attempt."""

    DELIVERED = "delivered"
    """All but the refused entries are stored; those in `Verdict.again` are to be sent again."""
    RETRY = "retry"
    """Send the same bytes again after a delay."""
    HALVE = "halve"
    """The request as a whole was refused: send its halves to find the entry."""
    BLOCKED = "blocked"
    """Nothing can be delivered until a person grants or repairs something: retry slowly."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of the project that refused a request for now."""

    name: str = ""
    """As the server calls it, such as ``Write requests per minute``; empty where it names none."""
    is_of_bytes: bool = False
    """It counts bytes: smaller requests may pass."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one attempt."""

    kind: Kind
    reason: str = ""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Entries that will never be accepted: zero-based index to drop reason."""
    again: frozenset[int] = frozenset()
    """Entries that were not stored for a passing reason."""
    delay: float | None = None
    """Seconds to wait, where the server or the failure says so."""
    answer: str = ""
    """What the server answered: the reason without a remedy; one printable line."""
    is_of_content: bool = True
    """Whether the failure may come from what the entries hold."""
    is_diverted: bool = False
    """The entries were written to stderr in place of the server."""
    repeats: int = 0
    """Further requests that the attempt took, such as one with a renewed token."""
    quota: Quota | None = None
    """The quota that refused the request, where the answer was 429."""

    def of_one_refused(self) -> Verdict:
        """Return the verdict on a batch of one entry, which the server refuses."""
        return replace(self, kind=Kind.DELIVERED, refused={0: REFUSED})


class WireError(ForklogError):
    """An attempt that brought no answer; its text holds no credentials and no payload."""

    def __init__(
        self,
        text: str,
        *,
        is_blocked: bool = False,
        is_stale_connection: bool = False,
        is_of_content: bool = True,
    ) -> None:
        """Say what happened.

        Args:
            text: what happened, and what to do.
            is_blocked: only a person can fix it.
            is_stale_connection: the server had closed an idle connection.
            is_of_content: an entry may be the cause; False where no byte of the request was sent.
        """
        super().__init__(text)
        self.is_blocked = is_blocked
        self.is_stale_connection = is_stale_connection
        self.is_of_content = is_of_content


class Connection(Protocol):
    """An open way to the server, used by one thread of one process."""

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        """Send entries (each one JSON object) in one request, wait for the answer and judge it.

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


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a request says of all its entries, where that is not what the handler's options say."""

    log_name: str
    labels: Mapping[str, str]
    resource: Mapping[str, Any] | None
    """None: the connection's own."""
    project: str | None = None
    """Whose project the entries are for; None where it is not known."""


OTHER_PROJECT = "the entries are for another project"
"""The reason of a verdict on entries that this connection never sends."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a connection has found out about its process; its attribute ``origin``, if it has one.

    A spool and a last resort write it down beside the entries.
    """

    project: str
    resource: Mapping[str, Any]


@runtime_checkable
class EnvelopeConnection(Connection, Protocol):
    """A connection that can send what another process left, which had another log.

    Without `send_with`, nothing that another process left is sent.
    """

    def send_with(self, entries: Sequence[bytes], timeout: float, envelope: Envelope) -> Verdict:
        """Send as `Connection.send` does, to the connection's own endpoint and project."""
        ...


class Transport(Protocol):
    """A factory of connections; shared by all processes, so it holds nothing that is open."""

    def open(self) -> Connection:
        """Open a connection in this process. May block for the network.

        Raises:
            WireError: not possible now; it is tried again later.
        """
        ...


LEAST_SECONDS = 0.05
"""The least time for an answer when opening has used up the caller's time."""


@runtime_checkable
class TimedTransport(Transport, Protocol):
    """A wire of forklog's that opens connections within the time that is left, as of an exit."""

    def open_within(self, timeout: float) -> Connection:
        """Open as `Transport.open` does, within so many seconds.

        Raises:
            WireError: not possible now, or not in that time.
        """
        ...


@runtime_checkable
class OptionsTransport(Transport, Protocol):
    """A wire of forklog's that takes what the handler's options say; a handler asks it once."""

    def with_options(self, options: Options, on_project: Callable[[str], object]) -> Transport:
        """Return the transport for a handler; it calls ``on_project`` where it finds a project."""
        ...


def verdict_of(error: WireError, *, is_first_attempt: bool) -> Verdict:
    """Judge an attempt that brought no answer."""
    if error.is_blocked:
        return Verdict(Kind.BLOCKED, str(error), is_of_content=False)
    # A server may close an idle connection at any time; the bytes were most likely never read.
    is_stale = error.is_stale_connection and is_first_attempt
    delay = 0.0 if is_stale else None
    is_of_content = error.is_of_content and not is_stale
    return Verdict(Kind.RETRY, str(error), delay=delay, is_of_content=is_of_content)
