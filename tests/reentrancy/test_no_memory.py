"""No memory: an allocator that fails at one allocation after another, and a limit of the kernel's.

Nothing comes out of the handler but what `logging` allows, and no record is lost without a count.
Once there is memory again the next record is delivered. Siblings that were tried: a first record,
whose thread has to start, a later one, a flush, a close and the hooks of an exit. From CPython 3.12
on `test_struck_handler.py` raises the MemoryError itself, at each place of these calls.

orjson does not look whether its own allocation has failed, and ends the process by SIGSEGV. No code
of Python's can prevent that; docs/delivery.md says so.
"""

from __future__ import annotations

import sys

import pytest
from cases import few
from helpers import check_python, state_numbers

_SETUP = """
import faulthandler, logging, os, signal, sys, tempfile, time, traceback
try:
    import _testcapi
except ImportError:
    print("no _testcapi")
    raise SystemExit(DONE)
import forklog
from forklog.testing import FakeTransport

logging.raiseExceptions = False
def make():
    transport = FakeTransport()
    handler = forklog.CloudLoggingHandler(
        transport=transport, max_latency=0.001, last_resort="none", max_retry_delay=0.01)
    return transport, handler
def record(text):
    return logging.LogRecord("n", logging.ERROR, "/f.py", 1, text, None, None, "f")
def check(transport, handler, place):
    next_one = record(f"next {place}")
    deadline = time.monotonic() + 20
    handler.handle(next_one)
    while not handler.flush(10) and time.monotonic() < deadline:
        pass
    texts = [e.get("textPayload") for e in transport.entries]
    stats = handler.stats()
    assert f"next {place}" in texts, (place, stats)
    assert not stats.pending, (place, stats)
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()), (place, stats)
def fail_at(number, call, *args):
    _testcapi.set_nomemory(number, number + 1)
    try:
        call(*args)
        return None
    except (MemoryError, SystemError) as error:  # the latter is CPython's mistake
        return error
    except RuntimeError as error:  # of a lock that CPython finds no memory for
        assert "can't allocate lock" in str(error), error
        return error
    finally:
        _testcapi.remove_mem_hooks()
def in_children(numbers, body):
    crashed = []
    stacks = tempfile.TemporaryFile("w+")
    faulthandler.enable(stacks)
    for number in numbers:
        pid = os.fork()
        if not pid:
            try:
                body(number)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(DONE)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (DONE, -signal.SIGSEGV), (number, status)
        if status < 0:
            crashed.append(number)
            stacks.seek(0)
            frame = next(line for line in stacks.read().partition("Current thread")[2].splitlines()
                         if line.startswith("  File"))
            assert "forklog/encoding/" in frame, frame  # a call of orjson.dumps
            stacks.seek(0); stacks.truncate()
    assert len(crashed) <= 8, crashed  # in orjson
    print("SIGSEGV in orjson at", crashed)
"""

_ACTS = {
    "a first record": """
def body(number):
    transport, handler = make()
    error = fail_at(number, handler.handle, record("struck"))
    assert error is None, (number, error)
    check(transport, handler, number)
in_children(range(2, 160, 2), body)  # the first is the frame of the call itself
""",
    "a later record": """
def body(number):
    transport, handler = make()
    check(transport, handler, "warm")
    error = fail_at(number, handler.handle, record("struck"))
    assert error is None, (number, error)
    check(transport, handler, number)
in_children(range(2, 60), body)
""",
    "a flush": """
def body(number):
    transport, handler = make()
    handler.handle(record("waits"))
    fail_at(number, handler.flush, 5)
    check(transport, handler, number)
    assert "waits" in [e.get("textPayload") for e in transport.entries], number
in_children(range(2, 120, 2), body)
""",
    "a close": """
def body(number):
    transport, handler = make()
    handler.handle(record("waits"))
    fail_at(number, handler.close)
    check(transport, handler, number)
    assert "waits" in [e.get("textPayload") for e in transport.entries], number
in_children(range(2, 200, 3), body)
""",
    "an exit": """
from forklog.process import exit_hooks
def body(number):
    transport, handler = make()
    handler.handle(record("waits"))
    fail_at(number, exit_hooks._on_exit)
    exit_hooks._on_exit()  # an exit has several hooks
    stats = handler.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()), (number, stats)
    assert not stats.pending, (number, stats)
in_children(range(2, 200, 3), body)
""",
}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="CPython itself goes on with broken tuples")
@pytest.mark.parametrize("act", few(_ACTS, "a later record", mark=pytest.mark.thorough))
def test_an_allocation_that_fails(act: str) -> None:
    """Whichever allocation fails, the handler raises nothing and the next record is delivered."""
    done = check_python(_SETUP + _ACTS[act], 100, is_covered=False)
    if "no _testcapi" in done.stdout:
        pytest.skip("this Python was built without _testcapi")
    state_numbers(done.stdout)


def test_a_thread_that_finds_no_memory() -> None:
    """At RLIMIT_AS, where no thread gets its stack, no log call raises and all is delivered."""
    check_python(
        """
        import logging, resource
        import forklog
        from forklog.testing import FakeTransport
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(
            transport=transport, max_latency=0.001, last_resort="none", max_retry_delay=0.01)
        def record(text):
            return logging.LogRecord("n", 20, "/f.py", 1, text, None, None, "f")
        pages = int(open("/proc/self/statm").read().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
        for number in range(200):
            handler.handle(record(f"{number}"))
        state = handler.stats().state
        resource.setrlimit(resource.RLIMIT_AS, before)
        assert state == "inline", state
        handler.handle(record("next"))
        assert handler.flush(20), handler.stats()
        texts = [e["textPayload"] for e in transport.entries]
        assert sorted(texts) == sorted([*map(str, range(200)), "next"])
        assert handler.stats().delivered == 201
        """,
        60,
        is_covered=False,
    )
