"""Runs the body of a test beside a fake wire in a fresh interpreter; gives what it printed last."""

from __future__ import annotations

import json
from typing import Any

from helpers import check_python

FAKE_WIRE = """
    import json, logging, sys, threading
    import forklog
    from forklog.testing import FakeTransport, Fail, Hang
    wire = FakeTransport()
    def texts():
        forklog.flush(5)
        return [e.get("textPayload") or e["jsonPayload"]["message"] for e in wire.entries]
"""


def last_printed(body: str) -> Any:
    """Run a body that has `FAKE_WIRE` before it; return the JSON of the last line it printed."""
    return json.loads(check_python(FAKE_WIRE + body).stdout.splitlines()[-1])
