"""The first record, a flush and a close at the recursion limit, and a recursion that runs away.

Each depth has a process and a handler of its own, so that each call is the first of its kind.
"""

from __future__ import annotations

import pytest
from cases import few
from helpers import check_python

_SETUP = """
import logging, os, sys, traceback
from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport

def at(depth, call):
    return at(depth - 1, call) if depth else call()

def raises(depth, call):
    try:
        at(depth, call)
    except RecursionError:
        return True
    return False

def deepest():
    depth = 1
    while not raises(depth, lambda: None):
        depth += 1
    return depth

def make():
    transport = FakeTransport()
    handler = CloudLoggingHandler(transport=transport, max_latency=0.01, last_resort="none")
    logger = logging.Logger("x")
    logger.addHandler(handler)
    return transport, handler, logger

def check(transport, handler, logger, logged):
    logger.error("after")
    def has_come():
        return any(entry.get("textPayload") == "after" for entry in transport.entries)
    transport.wait_until(has_come, 20)
    handler.flush(20)
    assert handler.flush(20)
    stats = handler.stats()
    dropped = stats.dropped.get("encode", 0)
    assert (stats.state, stats.pending) == ("running", 0), stats
    assert stats.accepted == stats.delivered + dropped, stats
    texts = [e.get("textPayload", e.get("jsonPayload", {}).get("message", ""))
             for e in transport.entries]
    shown = [text for text in texts if not text.startswith("forklog dropped")]
    assert len(shown) + dropped == logged + 1, (stats, texts)
    handler.close()

def in_children(body, rooms):
    last = deepest()
    for room in rooms:
        pid = os.fork()
        if not pid:
            try:
                body(last - room)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(DONE)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == DONE, (room, status)

plain = logging.Logger("plain")
plain.addHandler(logging.NullHandler())
logging.raiseExceptions = False
sys.setrecursionlimit(400)
"""

_RECORD = """
def body(depth):
    transport, handler, logger = make()
    has_raised = raises(depth, lambda: logger.error("deep", exc_info=error))
    assert raises(depth, lambda: plain.error("deep", exc_info=error)) or not has_raised
    check(transport, handler, logger, not has_raised)
"""


@pytest.mark.parametrize("error", few(["None", "ValueError('x')"], "None"))
def test_the_first_call_near_the_limit_raises_nowhere_that_another_handler_would_not(
    error: str,
) -> None:
    """The first record of a process at each of 60 depths: it is delivered or counted, once.

    Class of fault: a start that fails at the recursion limit passes for a process that can start
    nothing, or is left half done. A record that is given up at two levels of calls counts twice.
    """
    check_python(f"{_SETUP}\nerror = {error}\n{_RECORD}\nin_children(body, range(-2, 58))", 100)


def test_an_exception_logged_in_a_runaway_recursion() -> None:
    """``logger.exception`` on the way out raises no more often than with a `NullHandler`.

    It is tried again a frame further out until it returns. What it logs is delivered or counted.

    Class of fault: as in `test_the_first_call_near_the_limit_raises_nowhere_that_...`, with the
    traceback of the recursion itself.
    """
    check_python(
        _SETUP
        + """
def escaped(logger):
    count = 0
    def fall():
        nonlocal count
        try:
            fall()
        except RecursionError:
            count += 1
            logger.exception("deep")
            count -= 1
    fall()
    return count

for is_warm in (False, True):
    transport, handler, logger = make()
    if is_warm:
        logger.error("before")
        assert handler.flush(20)
    assert escaped(logger) <= escaped(plain)
    check(transport, handler, logger, 1 + is_warm)
"""
    )


def test_a_record_without_room_is_reported_with_what_can_be_done() -> None:
    """The line on stderr names the recursion as well as a ``__str__``, which may be right."""
    done = check_python(
        _SETUP
        + """
sys.setrecursionlimit(1000)
transport, handler, logger = make()
logger.error("before")
last = deepest()
for room in range(60):
    raises(last - room, lambda: logger.error("deep"))
assert handler.stats().dropped["encode"], handler.stats()
handler.close()
"""
    )
    lines = [line for line in done.stderr.splitlines() if "(encode" in line]
    assert lines, done.stderr
    assert all("the recursion that logs it" in line for line in lines), lines


_ENDS = {
    "flush": "handler.flush(20)",
    "close": "handler.close()",
}


@pytest.mark.parametrize("end", few(_ENDS, "close"))
def test_an_end_at_the_limit_that_raises_has_lost_nothing(end: str) -> None:
    """A flush or a close without room raises RecursionError; the next record starts all again.

    Class of fault: an end that was begun, and could not be finished.
    """
    check_python(
        _SETUP
        + f"""
def body(depth):
    transport, handler, logger = make()
    logger.error("before")
    logger.error("pending")
    raises(depth, lambda: {_ENDS[end]})
    check(transport, handler, logger, 2)
    assert not handler.stats().dropped

in_children(body, range(-2, 30))
"""
    )
