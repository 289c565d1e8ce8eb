"""Step 8, without credentials: entries become JSON lines on stderr, until credentials are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from forklog.last_resort import write_to_stderr
from forklog.report import Report
from forklog.transports.access import NoCredentialsError
from forklog.transports.base import Answer, Connection
from forklog.transports.machine import login_file

__all__ = ["StderrConnection"]


class StderrConnection:
    """What the flusher sends to where there are no credentials at all, as on a laptop."""

    def __init__(self, connect: Callable[[], Connection], why: str) -> None:
        """Say ``why`` once; ``connect`` is tried again when credentials seem to have come."""
        self._connect = connect
        self._seen = _traces()
        self._wire: Connection | None = None
        self._report = Report()
        self._report.say("credentials", why)

    def send(self, entries: Sequence[bytes], timeout: float) -> Answer:
        """Write the entries; they count as diverted. Or send them, once there are credentials."""
        if self._wire is None and (seen := _traces()) != self._seen:
            self._look(seen)
        if self._wire is not None:
            return self._wire.send(entries, timeout)
        written = write_to_stderr(b"".join(entry + b"\n" for entry in entries))
        return Answer(200, diverted=written)

    def _look(self, seen: object) -> None:
        try:
            self._wire = self._connect()
        except NoCredentialsError:
            self._seen = seen
            return
        self._report.say("found", "Google credentials found, delivers logs from now on")

    def close(self) -> None:
        """Close the wire, if there is one by now."""
        if self._wire is not None:
            self._wire.close()


def _traces() -> object:
    """Return what changes when somebody logs in or names a file of credentials."""
    return os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"), login_file().is_file()
