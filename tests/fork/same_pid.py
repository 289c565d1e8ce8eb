"""The body of a fork test: a process gets the PID of its grandparent, which is dead.

Linux lets root say which PID comes next; elsewhere `main` returns False and does nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import stage

LAST = Path("/proc/sys/kernel/ns_last_pid")
ROUNDS = 20
OTHER = 3  # a child that got another PID


def main() -> bool:
    """Run the rounds; return whether it is possible here."""
    try:
        LAST.write_text(LAST.read_text())
    except OSError:
        return False
    stage.log()
    for _ in range(ROUNDS):
        ours, theirs = os.pipe()
        stage.reap(stage.start(_grandparent, theirs))
        os.close(theirs)
        said = os.read(ours, 10)
        os.close(ours)
        if said != b"same":
            raise AssertionError(f"the grandchild said {said!r}")
    return True


def _grandparent(pipe: int) -> None:
    stage.log()
    mine = os.getpid()
    if not os.fork():
        _parent(mine, pipe)
    os._exit(stage.DONE if stage.handler.flush() else 2)


def _parent(wanted: int, pipe: int) -> None:
    stage.log()
    stage.until(lambda: not Path(f"/proc/{wanted}").exists())
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


def _grandchild() -> int:
    stage.log()
    return stage.DONE if stage.handler.flush() else 2
