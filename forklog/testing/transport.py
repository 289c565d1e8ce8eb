"""The fake transport: takes batches from the sender as the real wire does, gives them to tests."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from typing import Any

from forklog.clock import monotonic
from forklog.testing.journal import Journal, Request
from forklog.testing.outcomes import Deliver, Hang, Outcome, Script, answer, kept_indexes
from forklog.transports.base import Connection, Envelope, Verdict, WireError
from forklog.transports.http_verdict import judge

_POLL_SECONDS = 0.002


class FakeTransport:
    """Stand where Cloud Logging is: ``CloudLoggingHandler(transport=FakeTransport())``.

    Safe across forks: children record into the same journal, so the parent sees what every
    descendant has sent. The script is followed by each process on its own, from where it was at
    the fork. Its clocks are real, also where a test has frozen time.

    Args:
        *script: what the first requests meet, in this order; after that everything is delivered.
    """

    def __init__(self, *script: Outcome) -> None:
        """Open the journal."""
        self._journal = Journal()
        self._released = mmap.mmap(-1, mmap.PAGESIZE)  # shared with all descendants
        self._script = Script(monotonic)
        self._script.add(*script)

    def then(self, *outcomes: Outcome) -> None:
        """Append to the script of this process (and of children that it forks later)."""
        self._script.add(*outcomes)

    def release(self) -> None:
        """Let every request that hangs be delivered; none hangs any more, in any process."""
        self._released[0] = 1

    @property
    def sent(self) -> list[Request]:
        """All requests of all processes, in the order in which they were made."""
        return self._journal.read()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries that were stored, parsed, in order; a repeated one as often as it came."""
        return [entry for request in self.sent for entry in request.stored]

    def entries_of(self, pid: int) -> list[dict[str, Any]]:
        """Return the entries of one process that were stored, parsed, in order."""
        return [entry for request in self.sent if request.pid == pid for entry in request.stored]

    def wait_for(self, count: int, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Wait until at least ``count`` entries are stored, and return all of them.

        Raises:
            TimeoutError: they are not within ``timeout`` seconds; says what is there.
        """
        self.wait_until(lambda: len(self.entries) >= count, timeout, f"{count} entries")
        return self.entries

    def wait_until(
        self, condition: Callable[[], bool], timeout: float = 5.0, wanted: str = "the condition"
    ) -> None:
        """Wait until a condition holds.

        Raises:
            TimeoutError: it does not within ``timeout`` seconds; says what was sent.
        """
        deadline = monotonic() + timeout
        while not condition():
            if monotonic() > deadline:
                found = [(r.pid, r.outcome, len(r.lines)) for r in self.sent]
                raise TimeoutError(
                    f"no {wanted} within {timeout} s; requests (pid, outcome, entries): {found}"
                )
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Close the journal of this process; it is done anyway when the transport is collected."""
        self._journal.close()

    def open(self) -> Connection:
        """Return a connection; what it meets is up to the script."""
        return _FakeConnection(self._script, self._journal, self._released)


class _FakeConnection:
    """A connection that follows the script of this process."""

    def __init__(self, script: Script, journal: Journal, released: mmap.mmap) -> None:
        self._script = script
        self._journal = journal
        self._released = released

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        """Record the request and answer as the script says."""
        return self._send(entries, timeout, None)

    def send_with(self, entries: Sequence[bytes], timeout: float, envelope: Envelope) -> Verdict:
        """Record a request with another log, and answer as the script says."""
        return self._send(entries, timeout, envelope)

    def _send(self, entries: Sequence[bytes], timeout: float, envelope: Envelope | None) -> Verdict:
        outcome = self._script.step()
        name = type(outcome).__name__.lower()
        if isinstance(outcome, Hang):
            self._hang(name, entries, timeout)
            outcome, name = Deliver(), "deliver"
        self._journal.write(name, entries, kept_indexes(outcome, len(entries)), envelope)
        return judge(answer(outcome, len(entries)), len(entries))

    def _hang(self, name: str, entries: Sequence[bytes], timeout: float) -> None:
        if self._released[0]:
            return
        self._journal.write(name, entries, [])
        deadline = monotonic() + timeout
        while not self._released[0]:
            if monotonic() > deadline:
                raise WireError("the server did not answer in time")
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Nothing is open."""
