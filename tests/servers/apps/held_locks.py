"""The example application; a thread holds the locks of the HTTP pools while workers are forked.

It holds the lock of each pool of connections and of each pool manager in the process that imports
this module. It does so until the FIFO HELD_UNTIL is opened for writing.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import urllib3
from app import application as plain
from urllib3._collections import RecentlyUsedContainer

import forklog

application = plain


def all_of(kind: type) -> list[Any]:
    """Return all objects of a type."""
    return [thing for thing in gc.get_objects() if isinstance(thing, kind)]


def open_sessions(handler: forklog.CloudLoggingHandler) -> None:
    """Have the handler open its sessions in this process, also where it only holds its entries."""
    url = f"http://{os.environ['LOGGING_EMULATOR_HOST']}"
    wire: Any = handler._gate.product.sender._wire
    if not handler.flush(10):  # uWSGI's master never opens them by itself
        wire.connection = wire._open(time.monotonic() + 10)
        wire.connection._adapter.poolmanager.connection_from_url(url).request("GET", "/").close()
    wire.connection._tokens.get(url, timeout=10).close()


def hold(locks: list[Any]) -> None:
    """Hold these locks in a thread of its own; return when it does, and sleeps.

    It sleeps outside of the interpreter: uWSGI's fork copies the interpreter's lock as it is. With
    a thread that waits for that lock the worker would hang for another reason.
    """
    held = threading.Event()

    def run() -> None:
        for lock in locks:
            assert lock.acquire(timeout=10)
        held.set()
        os.close(os.open(os.environ["HELD_UNTIL"], os.O_RDONLY))  # waits for a writer
        for lock in locks:
            lock.release()

    holder = threading.Thread(target=run, daemon=True)
    holder.start()
    assert held.wait(20)
    before = ""
    while (now := switches(holder)) != before:
        before = now
        time.sleep(0.02)


def switches(thread: threading.Thread) -> str:
    """Return how often a thread gave up its processor; one that wants the interpreter's does so."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return "".join(line for line in status.splitlines() if "ctxt_switches" in line)


for cloud in all_of(forklog.CloudLoggingHandler):
    open_sessions(cloud)
pools, managers = all_of(urllib3.HTTPConnectionPool), all_of(RecentlyUsedContainer)
queues = [pool.pool for pool in pools]
hold(
    [queue.mutex for queue in queues if hasattr(queue, "mutex")]
    + [manager.lock for manager in managers]
)
print(  # noqa: T201 - for the test
    f"held in {os.getpid()}: pools {len(pools)}, managers {len(managers)}", file=sys.stderr
)
