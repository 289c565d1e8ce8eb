"""Reads from `/proc` which processes of the demo's server run, and waits for them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


_POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Poll a condition until it holds; return whether it did within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie, whose parent has yet to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def group_members(group: int) -> list[int]:
    """Return the PIDs of a process group, zombies among them."""
    members = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
            if os.getpgid(int(entry.name)) == group:
                members.append(int(entry.name))
    return members
