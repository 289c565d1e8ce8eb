"""The wire without credentials: prints entries as JSON lines on stderr, until some are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from forklog.clock import monotonic
from forklog.errors import NoCredentialsError
from forklog.stderr.reporter import StderrReporter
from forklog.stderr.stream import write_to_stderr
from forklog.transports.base import (
    LEAST_SECONDS,
    Connection,
    Envelope,
    EnvelopeConnection,
    Kind,
    Verdict,
    WireError,
)
from forklog.transports.google.machine import login_file


class StderrConnection:
    """What the sender sends to where there are no credentials at all, as on a laptop."""

    def __init__(self, connect: Callable[[float], Connection], why: str) -> None:
        """Say ``why`` once; ``connect`` is tried again when credentials seem to have come.

        It is given the seconds that it may take.
        """
        self._connect = connect
        self._seen = _traces()
        self._wire: Connection | None = None
        self._report = StderrReporter()
        self._report.say("credentials", why)

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        """Write the entries; they count as diverted. Or send them, once there are credentials."""
        until = monotonic() + timeout
        if self._wire is None and (seen := _traces()) != self._seen:
            self._look(seen, timeout)
        if self._wire is not None:
            return self._wire.send(entries, max(LEAST_SECONDS, until - monotonic()))
        written = write_to_stderr(b"".join(entry + b"\n" for entry in entries))
        unwritten = frozenset(range(written, len(entries)))
        why = "stderr cannot be written; check what reads it" if unwritten else ""
        return Verdict(Kind.DELIVERED, why, again=unwritten, is_diverted=True, is_of_content=False)

    def send_with(self, entries: Sequence[bytes], timeout: float, envelope: Envelope) -> Verdict:
        """Send what another process left; blocked without credentials: there it is safe."""
        if isinstance(self._wire, EnvelopeConnection):
            return self._wire.send_with(entries, timeout, envelope)
        text = "there are no credentials; name a file in GOOGLE_APPLICATION_CREDENTIALS, or log in"
        return Verdict(Kind.BLOCKED, text, is_of_content=False)

    def _look(self, seen: object, timeout: float) -> None:
        try:
            self._wire = self._connect(timeout)
        except NoCredentialsError:
            self._seen = seen
            return
        except WireError as error:  # no byte of the entries was sent
            text, is_blocked = str(error), error.is_blocked
            raise WireError(text, is_blocked=is_blocked, is_of_content=False) from error
        self._report.say("found", "Google credentials found, delivers logs from now on")

    def close(self) -> None:
        """Close the wire, if there is one by now."""
        if self._wire is not None:
            self._wire.close()


def _traces() -> object:
    """Return what changes when a person logs in or names a file of credentials."""
    return os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"), login_file().is_file()
