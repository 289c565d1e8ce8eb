"""The program of `test_tls`: forks while its flush thread opens one TLS connection after another.

Prints what became of the children, as JSON. Environment: URL, FORKS, and STACKS, a folder.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import forklog

DONE = 47
_AT_ONCE = 6
_PATIENCE_SECONDS = 40.0  # twice what a child may need for its flush
_STACKS = Path(os.environ["STACKS"])

handler = forklog.CloudLoggingHandler(
    project="p",
    endpoint=os.environ["URL"],
    max_latency=0.001,
    answer_timeout=15,
    shutdown_timeout=20,
    last_resort="none",
)
log = logging.getLogger("tls")
log.propagate = False
log.setLevel(logging.INFO)
log.addHandler(handler)


def _write_stacks(pid: int) -> None:
    """Have gdb, where there is one, write the stacks of all threads of a child."""
    gdb = shutil.which("gdb")
    if gdb is not None:
        command = [gdb, "-p", str(pid), "-batch", "-ex", "thread apply all bt 40"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        (_STACKS / f"child-{pid}.txt").write_text(done.stdout)


def _log_on(over: threading.Event) -> None:
    number = 0
    while not over.wait(0.001):
        number += 1
        log.info("parent %d", number)


def _child() -> None:
    log.error("child %d", os.getpid())
    is_settled = handler.flush(20)
    if not is_settled:
        with (_STACKS / f"child-{os.getpid()}-python.txt").open("w") as file:
            file.write(f"{handler.stats()}\n")
            faulthandler.dump_traceback(file)
        _write_stacks(os.getpid())
    os._exit(DONE if is_settled else DONE + 1)


def _reap(children: dict[int, float], ends: Counter[str]) -> None:
    for pid, since in list(children.items()):
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found and time.monotonic() - since < _PATIENCE_SECONDS:
            continue
        if not found:
            _write_stacks(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        del children[pid]
        code = os.waitstatus_to_exitcode(status) if found else None
        names = {None: "hung", DONE: "delivered", DONE + 1: "undelivered"}
        ends[names.get(code, f"status {code}")] += 1


def main() -> int:
    """Fork so often; tell what became of the children, and whether the parent lives on."""
    over = threading.Event()
    thread = threading.Thread(target=_log_on, args=(over,))
    thread.start()
    children: dict[int, float] = {}
    ends: Counter[str] = Counter()
    waits: list[float] = []
    forks = int(os.environ["FORKS"])
    while sum(ends.values()) < forks:
        _reap(children, ends)
        if len(children) < _AT_ONCE and len(children) + sum(ends.values()) < forks:
            before = time.monotonic()
            pid = os.fork()
            if not pid:
                _child()
            waits.append(time.monotonic() - before)
            children[pid] = time.monotonic()
        time.sleep(0.002)
    over.set()
    thread.join()
    is_settled = handler.flush(30)
    waits.sort()
    print(  # noqa: T201
        json.dumps(
            {
                "ends": ends,
                "parent": is_settled,
                "requests": handler.stats().requests,
                "median ms": round(1000 * waits[len(waits) // 2], 2),
                "longest ms": round(1000 * waits[-1], 2),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
