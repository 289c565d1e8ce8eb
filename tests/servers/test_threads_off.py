"""A uWSGI server without threads (2.0.26 and older, by default): records are sent inline.

From 2.0.27 on threads are always on. Wheels of 2.0.26 do not exist for every Python. So what that
version shows to an application is set here, in a module of its own and in a real newer server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from helpers import check_python, wait_until

if TYPE_CHECKING:
    from conftest import Site

BODY = """
import logging, os, sys, threading, types

# What uWSGI 2.0.26 shows to an application in a worker without enable-threads.
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


DEAD = (
    BODY.partition("import forklog")[0]
    + """
import forklog, time
from forklog.testing import Fail, FakeTransport, Hang
transport = FakeTransport(Hang(), Fail(503, times=99, retry_after=60))
handler = forklog.CloudLoggingHandler(transport=transport, shutdown_timeout=1, last_resort="none")
log = logging.getLogger("inline"); log.addHandler(handler); log.setLevel(20)
start = time.monotonic()
for number in range(20):
    log.info("%d", number)
    server.after_req_hook()
assert time.monotonic() - start < 15, "one answer_timeout is 30"
assert handler.stats().requests <= 2, handler.stats()
"""
)


def test_a_dead_server_does_not_hold_up_each_request() -> None:
    """One request waits, for shutdown_timeout at most; while the failure passes no other does."""
    check_python(DEAD)


def test_a_server_that_has_threads_off(site: Site) -> None:
    """Each request's records are sent at its end, by its own thread; one line says so."""
    site.environ["EXAMPLE_MAX_LATENCY"] = "60"
    server = site.start_uwsgi(2, "master = true\nmodule = uwsgi_threadless\n")
    site.check_every_record_once()
    for _ in range(3):
        workers = site.ask_until(lambda pids: len(pids) == 2)
        wait_until(lambda: not site.pending(), 20, "the end of the request")
    for worker in workers:
        assert len(list(Path(f"/proc/{worker}/task").iterdir())) == 1
    assert server.output().count("threads are off") == 2, "once in each process"
    site.end_uwsgi()
    site.check_every_record_once()
