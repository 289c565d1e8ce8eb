"""Runs the bodies of tests in fresh interpreters, and waits for conditions with a deadline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import forklog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DONE = 47
"""Exit status of a body that ran to its end: an accidental 0 or 1 is not it."""

_ROOT = Path(forklog.__file__).resolve().parents[1]
_PRELUDE = f"""\
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, all_threads=True)
DONE = {DONE}
"""
_END = "\nraise SystemExit(DONE)\n"


def run_python(
    body: str,
    timeout: float = 30,
    env: Mapping[str, str] | None = None,
    *,
    is_covered: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a body in a fresh interpreter; its status is `DONE` if it ran to its end.

    A child that it forks ends with `DONE` as well if it falls through to the end; the name `DONE`
    is known to the body. On a hang all its processes write their stacks to stderr, die, and the
    returned status is -9.

    Coverage's own lock may be held by another thread at a fork, and the child waits for it at its
    end. It also crashes in a sub-interpreter. Such a body is not covered.
    """
    environ = {**os.environ, "PYTHONPATH": python_path(), **(env or {})}
    if not is_covered:
        environ.pop("COVERAGE_PROCESS_CONFIG", None)
    process = subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + textwrap.dedent(body) + _END],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGUSR1)
        time.sleep(0.5)  # for the stacks to be written
        _signal_group(process, signal.SIGKILL)
        out, err = process.communicate(timeout=10)
    finally:
        _signal_group(process, signal.SIGKILL)  # of a body that left children behind
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check_python(
    body: str,
    timeout: float = 30,
    env: Mapping[str, str] | None = None,
    *,
    is_covered: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a body in a fresh interpreter and fail unless it ran to its end."""
    done = run_python(body, timeout, env, is_covered=is_covered)
    assert done.returncode == DONE, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def wait_until(condition: Callable[[], object], seconds: float = 10, wanted: str = "") -> None:
    """Poll a condition until it holds, ever more rarely; AssertionError when the time is over.

    Most conditions ask the emulator, whose answers cost more than what is waited for.
    """
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}"
        time.sleep(pause)
        pause = min(1.25 * pause, 0.1)


def are_workers_idle(stats: Path) -> bool:
    """Ask uWSGI's stats socket, and the kernel, whether all workers wait for a request.

    A worker that is in a request when it has to end runs no hook. It is in one for a moment after
    uWSGI says that it is idle; on a busy machine that moment lasts.
    """
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(stats))
            data = b"".join(iter(lambda: client.recv(65_536), b""))
        for worker in json.loads(data)["workers"]:
            if worker["status"] == "cheap":
                continue
            if worker["status"] != "idle" or not _is_asleep(worker["pid"]):
                return False
        time.sleep(0.02)
    return True


def _is_asleep(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    except FileNotFoundError:  # it has ended, or there is no /proc
        return not Path("/proc/self").exists()


def python_path() -> str:
    """Return a PYTHONPATH with which other interpreters import the same forklog."""
    return os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def state_numbers(text: str) -> None:
    """Say what a test has measured; pytest shows it with -rP, or where the test fails."""
    sys.stdout.write(f"{text}\n")
