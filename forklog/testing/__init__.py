"""For tests of applications: a transport that needs no server, with scripted outcomes.

Imports neither pytest nor anything else that forklog does not need; the fixtures are in
`forklog.testing.plugin`.
"""

from __future__ import annotations

from forklog.testing.journal import Request
from forklog.testing.outcomes import Deliver, Disconnect, Fail, Hang, Outcome, Refuse
from forklog.testing.transport import FakeTransport

__all__ = [
    "Deliver",
    "Disconnect",
    "Fail",
    "FakeTransport",
    "Hang",
    "Outcome",
    "Refuse",
    "Request",
]
