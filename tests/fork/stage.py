"""What the bodies of the fork tests import: a logger, the ledger they keep, children under watch.

Importing it configures forklog, in spawned processes too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from forklog import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = 47
"""Exit status of a child that ran to its end: an accidental 0 or 1 is not it."""
PATIENCE_SECONDS = 20.0

LATENCY = float(os.environ.get("FORKLOG_TEST_LATENCY", "0.05"))
LEDGER = os.environ["FORKLOG_TEST_LEDGER"]

handler = CloudLoggingHandler(
    project="forks", max_latency=LATENCY, answer_timeout=15, shutdown_timeout=15
)
logger = logging.getLogger("forks")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(handler)


def log(count: int = 1, padding: str = "") -> None:
    """Log records and write each down after it was logged."""
    for _ in range(count):
        name = uuid.uuid4().hex
        logger.info("id=%s %s", name, padding)
        write_down(name)


def write_down(name: str) -> None:
    """Append a line to the ledger; opened anew, since a daemon closes what it inherits."""
    descriptor = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{os.getpid()} {name}\n".encode())
    finally:
        os.close(descriptor)


def quiet() -> None:
    """Wait until all other threads sleep, as a fork from C needs it.

    One that waits for the interpreter's lock, which such a fork copies as it is, has the threads of
    the child wait for ever. That happened to 3 of 240 children that were forked so right after a
    flush.
    """
    own = str(threading.get_native_id())
    for task in Path("/proc/self/task").iterdir():
        if task.name != own:
            until(lambda task=task: _has_slept(task))


def _has_slept(task: Path) -> bool:
    """Tell whether a thread did nothing for ten milliseconds; it wakes each five for the lock."""

    def switches() -> list[str]:
        try:
            lines = (task / "status").read_text().splitlines()
        except OSError:  # it has ended
            return []
        return [line for line in lines if "ctxt_switches" in line]

    before = switches()
    time.sleep(0.01)
    return switches() == before


def start(body: Callable[..., object], *args: object) -> int:
    """Fork a child that runs the body and exits as a script does; return its PID."""
    child = os.fork()
    if not child:
        body(*args)
        sys.exit(DONE)
    return child


def reap(child: int, wanted: int = DONE, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a child; if it hangs, have it write its stacks, kill it and raise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code != wanted:
                raise AssertionError(f"child {child} ended with {code}, not {wanted}")
            return
        time.sleep(0.002)
    os.kill(child, signal.SIGUSR1)  # faulthandler answers it
    time.sleep(0.5)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"child {child} hangs; its stacks are above")


def run(body: Callable[..., object], *args: object) -> None:
    """Fork a child that runs the body, and wait for its end."""
    reap(start(body, *args))


def run_by_os_exit(body: Callable[..., object], *args: object) -> None:
    """Fork a child that flushes and ends without any exit hook, in whatever thread we are."""
    child = os.fork()
    if not child:
        status = 1
        try:
            body(*args)
            status = DONE if handler.flush() else 2
        finally:
            os._exit(status)
    reap(child)


def until_hung() -> None:
    """Wait until a request has met the armed fault: the first one that arrives does."""
    url = f"http://{os.environ['LOGGING_EMULATOR_HOST']}/emulator/stats"

    def has_met() -> bool:
        with urllib.request.urlopen(url) as answer:
            return bool(json.load(answer)["faults"])

    until(has_met)


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Poll a condition until it holds; raise when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(0.002)


def work(count: int = 1) -> int:
    """Log in a process of a pool; return its PID."""
    log(count)
    return os.getpid()
