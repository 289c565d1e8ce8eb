"""Kills workers of the demo's server in the midst of logging, by its ledger, for a trial."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from forklog.demo.server import Server


_POLL_SECONDS = 0.001  # a request logs for some milliseconds


def kill_workers(server: Server, ledger: Path, kills: int, patience: float) -> int:
    """Kill the workers of a server in turn, each while it logs; blocks until that is done.

    A worker is killed as soon as it has logged a record of a request, and left alone if it logs
    none.

    Args:
        server: whose workers are killed; its master starts others in their place.
        ledger: where each worker writes its PID behind each record that it has logged.
        kills: how many.
        patience: seconds to wait for a record of the worker whose turn it is.

    Returns:
        How many processes were killed.

    """
    killed: set[int] = set()
    for turn in range(kills):
        number = 1 + turn % len(server.workers())
        seen = ledger.stat().st_size
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            pid = server.workers()[number]
            if pid not in killed and _logs(pid, ledger, seen):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                break
            time.sleep(_POLL_SECONDS)
    return len(killed)


def _logs(pid: int, ledger: Path, seen: int) -> bool:
    """Tell whether a request in this process has logged a record after that position."""
    with ledger.open("rb") as file:
        file.seek(seen)
        return b"%d request-" % pid in file.read()
