"""A clock that is set while a process lives: order and accounts do not rest on it."""

from __future__ import annotations

import itertools

import pytest
from cases import few
from helpers import check_python

_BODY = """
    import logging, os, sys, time, types

    offset, real = [0], time.clock_gettime_ns

    def clock(which):
        return real(which) + (offset[0] if which == time.CLOCK_REALTIME else 0)

    time.clock_gettime_ns = clock
    master = os.getpid()
    server = types.ModuleType("uwsgi")
    server.worker_id = lambda: int(os.getpid() != master)
    server.mule_id = lambda: 0
    server.masterpid = lambda: master
    server.has_threads = lambda: True
    if IS_SERVER:
        sys.modules["uwsgi"] = server

    import forklog
    from forklog.testing import FakeTransport
    transport = FakeTransport()
    handler = forklog.CloudLoggingHandler(transport=transport, max_latency=60, shutdown_timeout=15)
    logger = logging.getLogger("clock")
    logger.addHandler(handler)
    for n in range(8):
        logger.warning("at import %d", n)
    if not IS_SERVER:
        assert handler.flush()
    offset[0] = CHANGE * 10**9
    child = os.fork()
    if not child:
        if IS_SERVER:
            server.post_fork_hook()  # adopts
            server.atexit() if ENDS_AT_ONCE else handler.flush(15)
            assert handler.stats().delivered == 8, handler.stats()
        logger.warning("from the child")
        expected = 9 if IS_SERVER else 1
        assert handler.flush(15), handler.stats()
        stats = handler.stats()
        assert (stats.delivered, stats.pending) == (expected, 0), stats
        offset[0] += CHANGE * 10**9
        grandchild = os.fork()
        if not grandchild:
            logger.warning("from the grandchild")
            assert handler.flush(15), handler.stats()
            assert handler.stats().delivered == 1, handler.stats()
            os._exit(DONE)
        assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == DONE
        handler.close()
        os._exit(DONE)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
    os._exit(DONE)
"""


@pytest.mark.parametrize(
    ("way", "change"),
    few(
        itertools.product(["flush", "end", "plain fork"], [-3600, 3600]),
        *[("flush", -3600), ("end", 3600), ("plain fork", -3600)],
        mark=pytest.mark.thorough,
    ),
)
def test_the_clock_is_set_before_the_fork(change: int, way: str) -> None:
    """A worker's flush covers what it adopted and what it logged, whatever happened to the clock.

    Class of fault: an order that rests on the wall clock alone; siblings:
    `test_a_clock_that_was_set_back`, `test_prefixes_of_one_moment_differ`,
    `test_a_retry_after_date_is_counted_from_the_servers_clock`.
    """
    modes = way != "plain fork", way == "end"
    check_python(f"    IS_SERVER, ENDS_AT_ONCE, CHANGE = *{modes}, {change}\n{_BODY}")
