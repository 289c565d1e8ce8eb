"""A uWSGI server without threads (2.0.26 and older, by default): records are sent inline."""

from __future__ import annotations

from helpers import check_python

BODY = """
import logging, os, sys, threading, types

# What uWSGI 2.0.26 shows to an application in a worker without enable-threads. A wheel of that
# version does not exist for every Python, and from 2.0.27 on threads are always on.
server = types.ModuleType("uwsgi")
server.has_threads = 0
server.worker_id, server.mule_id, server.masterpid = lambda: 1, lambda: 0, os.getppid
sys.modules["uwsgi"] = server

import forklog
from forklog.testing import FakeTransport
transport = FakeTransport()
handler = forklog.CloudLoggingHandler(transport=transport, max_batch_bytes=300_000)
log = logging.getLogger("inline"); log.addHandler(handler); log.setLevel(20)
sent = lambda: len(transport.entries)

log.info("waits for the end of its request")
assert threading.active_count() == 1 and sent() == 0, sent()
server.after_req_hook()
assert sent() == 1
log.info("goes with the error"); log.error("goes at once")
assert sent() == 3
for number in range(4000): log.info("%d %s", number, "x" * 100)
assert sent() > 1000, sent()
log.info("goes at the end")
server.atexit()
assert sent() == 4004 == handler.stats().delivered
assert threading.active_count() == 1 and handler.stats().state == "inline"
"""


def test_records_are_sent_by_the_logging_thread() -> None:
    """At a full batch, at flush_level, after each request and at the end; one line says so."""
    done = check_python(BODY)
    assert done.stderr.count("threads are off") == 1
