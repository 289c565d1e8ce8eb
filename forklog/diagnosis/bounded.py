"""Runs a step that may hang, within a deadline, in a thread or in a child process.

In a process that uWSGI will fork no thread may live. So a child runs the step there, and is killed
when the time is over. Elsewhere a daemon thread runs it, which is left behind if it hangs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from forklog.descriptors.above import pipe_above

Found = dict[str, Any]
Step = Callable[[Callable[..., None]], None]


def gather(step: Step, timeout: float, *, in_child: bool) -> Found:
    """Run ``step(say)`` and return all values that it gave before the time was over.

    Args:
        step: calls ``say(**values)`` with plain values as it goes.
        timeout: seconds until the call returns at the latest.
        in_child: do it in a forked process instead of a thread.
    """
    gatherer = _in_child if in_child and hasattr(os, "fork") else _in_thread
    return gatherer(step, timeout)


def _in_thread(step: Step, timeout: float) -> Found:
    found: Found = {}

    def run() -> None:
        try:
            step(lambda **values: found.update(values))
        except Exception as error:  # noqa: BLE001 - it becomes a finding
            found.update(_failure(error))

    thread = threading.Thread(target=run, name="forklog-doctor", daemon=True)
    thread.start()
    thread.join(timeout)
    return found.copy()


def _failure(error: BaseException) -> Found:
    return {"outcome": "failed", "reason": type(error).__name__}


def _in_child(step: Step, timeout: float) -> Found:
    deadline = time.monotonic() + timeout
    reader, writer = pipe_above()
    with warnings.catch_warnings():
        # Python 3.12 and later warn if threads live; the child needs none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _run_and_end(step, writer)
    os.close(writer)
    try:
        data = _read(reader, deadline)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # the application collects all children
            os.waitpid(child, 0)
    found: Found = {}
    for line in data.splitlines():
        with contextlib.suppress(ValueError):  # cut off
            found.update(json.loads(line))
    return found


def _run_and_end(step: Step, writer: int) -> None:
    """Do the step in the child; end without any hook of the application or of ours."""
    # A record logged here would make this child adopt what the parent holds, and lose it.
    logging.disable(logging.CRITICAL)
    logging.raiseExceptions = False

    def say(**values: Any) -> None:
        os.write(writer, json.dumps(values).encode() + b"\n")

    try:
        step(say)
    except BaseException as error:  # noqa: BLE001 - nothing may leave this frame
        with contextlib.suppress(BaseException):
            say(**_failure(error))
    finally:
        os._exit(0)


def _read(reader: int, deadline: float) -> bytes:
    """Read until the other side closes, or the deadline."""
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            part = os.read(reader, 65_536)
            if not part:
                break
            data += part
    return data
