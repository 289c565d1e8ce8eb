"""Around os.fork: the flush thread is gone when Python counts the threads, and comes back."""

from __future__ import annotations

import sys

import pytest
from helpers import check_python

SETUP = """
import logging, os, signal, sys, threading, time, warnings
import forklog
from forklog.testing import FakeTransport, Hang

transport = FakeTransport()
handler = forklog.CloudLoggingHandler(transport=transport, max_latency={latency})
log = logging.getLogger("forking")
log.addHandler(handler)
log.setLevel(logging.INFO)
warned = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, *_: warned.append(str(message))

def reap(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE

def fork_once():
    child = os.fork()
    if not child:
        os._exit(DONE)
    reap(child)
"""


def check(body: str, latency: float = 0.01, *, is_covered: bool = False) -> None:
    """Run a body after the set-up, in an interpreter of its own.

    Each of its children would write a file for the coverage, for lines that all of them run.
    """
    check_python(SETUP.format(latency=latency) + body, 100, is_covered=is_covered)


warns = pytest.mark.skipif(sys.version_info < (3, 12), reason="os.fork does not warn there")


@warns
@pytest.mark.parametrize("latency", [0.001, 0.01, 60])
def test_nothing_of_ours_is_warned_of(latency: float) -> None:
    """Forking right after a record, its thread just started, sending or waiting, warns of nothing.

    The last of the three leaves records pending, which have a thread started after the fork.
    """
    check(
        """
for number in range(100):
    log.info("parent %d", number)
    fork_once()
assert not warned, (len(warned), warned[0])
assert handler.flush(10)
assert [e["textPayload"] for e in transport.entries] == [f"parent {n}" for n in range(100)]
""",
        latency,
    )


@warns
def test_no_task_of_ours_is_left_at_the_fork() -> None:
    """When the callbacks before a fork have run, the kernel counts one task in this process."""
    check("""
from forklog.process import fork_hooks as forking
for number in range(100):
    log.info("parent")
    if number % 2:
        assert handler.flush(10)
    forking._before()
    assert os.stat("/proc/self/task").st_nlink - 2 == 1, number
    forking._after_in_parent()
""")


def test_pending_records_need_no_other_record() -> None:
    """What is pending at a fork goes out within max_latency while the parent waits for the child.

    The main thread sits in waitpid, so nothing but the restarted flush thread can deliver.
    """
    check("""
for number in range(20):
    log.info("parent %d", number)
    child = os.fork()
    if not child:
        transport.wait_for(number + 1, 20)
        os._exit(DONE)
    reap(child)
""")


def test_pending_records_of_a_process_that_forks_in_another_thread() -> None:
    """The same where the main thread is blocked for good and another one forks."""
    check("""
def fork():
    for number in range(20):
        log.info("parent %d", number)
        child = os.fork()
        if not child:
            transport.wait_for(number + 1, 20)
            os._exit(DONE)
        reap(child)

thread = threading.Thread(target=fork)
thread.start()
thread.join()
""")


def test_a_slow_server_holds_a_fork_for_a_moment_only() -> None:
    """A thread in the middle of a request is not waited for, and is warned of with reason."""
    check("""
transport.then(Hang())
log.info("parent")
while not handler.stats().requests:
    time.sleep(0.001)
start = time.monotonic()
for number in range(20):
    fork_once()
assert time.monotonic() - start < 10, "a request has 30 s"
assert len(warned) == (20 if sys.version_info >= (3, 12) else 0), warned
transport.release()
assert handler.flush(10)
""")


def test_threads_of_several_handlers_rest_and_return() -> None:
    """Each handler's thread is paused, each delivers afterwards."""
    check(
        """
others = [forklog.CloudLoggingHandler(transport=transport, max_latency=60) for _ in range(4)]
log.handlers = others
for number in range(20):
    log.info("parent %d", number)
    fork_once()
assert not warned, warned
assert all(handler.flush(10) for handler in others)
assert len(transport.entries) == 80
""",
        is_covered=True,
    )


def test_a_closed_handler_does_nothing_at_a_fork() -> None:
    """After close() no fork waits, starts a thread or wakes the pipeline; a dropped one is gone."""
    check(
        """
import gc, weakref
from forklog.process import fork_hooks as forking

log.info("parent")
pipeline = handler._gate.product
handler.close()
log.handlers = []
before = pipeline.stats()
for number in range(20):
    fork_once()
    assert threading.active_count() == 1
assert pipeline.stats() == before
assert not warned, warned
gone = weakref.ref(pipeline)
del handler, pipeline
gc.collect()  # frees the handler, whose finalizer holds the gate
gc.collect()
assert gone() is None
assert forking._live.all() == []
""",
        is_covered=True,
    )


def test_all_waits_of_a_fork_share_one_deadline() -> None:
    """Each flush thread is ordered to pause, then each wait gets the time when the fork began.

    Closes the class: bounds that are kept one after the other, 1.8 s where 1 s is the bound.
    """
    check("""
from forklog.process import base, fork_hooks as forking, thread

class Spy:
    def pause(self):
        calls.append(("pause", None))
    def before_fork(self, since=None):
        calls.append(("before_fork", since))
    def after_fork_in_parent(self):
        return False
    def end_in_child(self):
        pass

calls, spy = [], Spy()
forking.register(spy)
base.fork_waits.append(lambda since: calls.append(("wait", since)))
before = time.monotonic()
fork_once()
since = calls[-1][1]
assert before <= since <= time.monotonic()
pauses = sys.version_info >= (3, 12)
wanted = [("pause", None), ("wait", since), ("before_fork", since)]
assert calls == (wanted if pauses else [("wait", since)]), calls
assert thread.IDLE_SECONDS + thread._GONE_SECONDS <= 1
""")
