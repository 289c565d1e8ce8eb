"""Runs bodies of tests about spools, which log, fork children and kill them.

And how it runs in surroundings of its own: namespaces, mounted file systems.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from helpers import DONE, python_path

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """
import collections, logging, os, signal, sys, threading, time
import forklog
from forklog.testing import Deliver, Fail, FakeTransport, Hang

FOLDER = {folder!r}

def log_with(transport, **options):
    given = {{"project": "p", "spool": FOLDER, "max_latency": 0.01, **options}}
    handler = forklog.CloudLoggingHandler(transport=transport, **given)
    logger = logging.Logger("spool", logging.DEBUG)
    logger.addHandler(handler)
    return logger, handler

def killed(call):
    '''Run a call in a child that is killed after it.'''
    pid = os.fork()
    if pid == 0:
        call()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)

def wait(condition, what=""):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what or os.listdir(FOLDER)
        time.sleep(0.01)

def texts(transport):
    return sorted(entry["textPayload"] for entry in transport.entries)

def heads():
    return [name for name in os.listdir(FOLDER) if name.endswith(".head")]

def held_up(module, name, call):
    '''Run a call in a thread that stops in a function; return what lets it go on to its end.'''
    begun, may_go_on, genuine = threading.Event(), threading.Event(), getattr(module, name)
    def slowly(*args, **options):
        if threading.current_thread() is thread:
            begun.set()
            may_go_on.wait(30)
        return genuine(*args, **options)
    def end():
        may_go_on.set()
        thread.join()
    setattr(module, name, slowly)
    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(30)
    return end
"""


def run_body(body: str, *before: str, folder: Path) -> str:
    """Run a body, by way of another program, to its end; return what it wrote to stderr."""
    whole = SETUP.format(folder=str(folder)) + textwrap.dedent(body) + f"\nsys.exit({DONE})\n"
    done = subprocess.run(
        [*before, sys.executable, "-c", whole],
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == DONE, done.stdout + done.stderr
    return done.stderr


def need_unshare(*options: str) -> tuple[str, ...]:
    """Return the call that gives a program its own namespaces; skip where it is not permitted."""
    call = "unshare", *options
    if shutil.which("unshare") is None or subprocess.run([*call, "true"], check=False).returncode:
        pytest.skip(f"this user may not run {' '.join(call)}")
    return call
