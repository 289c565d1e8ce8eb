"""The body of a fork test: a process gets the PID of its grandparent, which is dead.

Linux lets root say which PID comes next, and give a family of processes PIDs of their own. So no
other process on the machine takes the one that is wanted. Elsewhere `main` returns False.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import stage

LAST = Path("/proc/sys/kernel/ns_last_pid")
ROUNDS = 20
OTHER = 3  # a child that got another PID
_CLONE_NEWPID = 0x20000000


def main() -> bool:
    """Run the rounds; return whether it is possible here."""
    if ctypes.CDLL(None).unshare(_CLONE_NEWPID):
        return False
    try:
        LAST.write_text(LAST.read_text())
    except OSError:
        return False
    family = stage.start(_family)  # the first of the new PIDs
    stage.reap(family, seconds=2.0 * stage.PATIENCE_SECONDS)
    return True


def _family() -> None:
    for _ in range(ROUNDS):
        ours, theirs = os.pipe()
        stage.reap(stage.start(_grandparent, theirs))
        os.close(theirs)
        said = os.read(ours, 10)
        os.close(ours)
        if said != b"same":
            raise AssertionError(f"the grandchild said {said!r}")


def _grandparent(pipe: int) -> None:
    stage.log()
    mine = os.getpid()
    if not os.fork():
        _parent(mine, pipe)
    os._exit(stage.DONE if stage.handler.flush() else 2)


def _parent(wanted: int, pipe: int) -> None:
    stage.log()
    stage.until(lambda: not _lives(wanted))
    for _ in range(200):
        LAST.write_text(str(wanted - 1))
        child = os.fork()
        if not child:
            os._exit(_grandchild() if os.getpid() == wanted else OTHER)
        stage.reap(child, stage.DONE if child == wanted else OTHER)
        if child == wanted:
            os.write(pipe, b"same" if stage.handler.flush() else b"unsent")
            break
    os._exit(stage.DONE)


def _lives(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def _grandchild() -> int:
    stage.log()
    return stage.DONE if stage.handler.flush() else 2
