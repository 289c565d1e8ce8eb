"""Forks wait for the end of a stretch in which a lock of C may be held; `tests/fork/test_tls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator import Emulator

_BODY = """
import os, threading, time
from forklog.transports import c_locks

lock = threading.Lock()  # stands for one of OpenSSL's: no hook makes it new in a child
begun, over = threading.Event(), threading.Event()

def stretch():
    while not over.is_set():
        with c_locks.held(), lock:
            begun.set()
            time.sleep({hold})
        time.sleep(0.002)

def fork(child):
    before = time.monotonic()
    pid = os.fork()
    if not pid:
        os._exit(DONE if child() else 1)
    took = time.monotonic() - before
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
    return took

thread = threading.Thread(target=stretch)
thread.start()
assert begun.wait(10)
"""


def test_no_child_inherits_a_lock_that_is_held() -> None:
    """Without the wait nearly every one of these children would find the lock held for ever."""
    check_python(
        _BODY.format(hold=0.02)
        + """
def enter():
    with c_locks.held():
        return lock.acquire(timeout=5)
for _ in range(30):
    fork(enter)
over.set()
thread.join()
"""
    )


def test_the_wait_of_a_fork_is_bounded() -> None:
    """A handshake without an answer holds a fork up for FORK_SECONDS; it goes on afterwards."""
    check_python(
        _BODY.format(hold=3)
        + """
took = fork(lambda: True)
assert c_locks.FORK_SECONDS * 0.9 < took < 2, took
over.set()
thread.join(30)
assert not thread.is_alive() and not c_locks._gates[0].is_closed
"""
    )


_BUSY = """
import hashlib, os, threading, time
from forklog.transports import c_locks

lock = threading.Lock()
begun = threading.Event()

def work(number):  # without the interpreter's lock, as OpenSSL does
    before = time.thread_time()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", number)
    return time.thread_time() - before

def stretch(number):
    with c_locks.held(), lock:
        begun.set()
        work(number)

def fork(seconds):
    thread = threading.Thread(target=stretch, args=(int(20_000 * seconds / work(20_000)),))
    thread.start()
    assert begun.wait(30)
    while lock.locked() and not c_locks._is_running(thread.native_id):
        time.sleep(0.001)  # it waits for the interpreter's lock, or for a processor's turn
    pid = os.fork()
    if not pid:
        os._exit(DONE + lock.locked())
    is_held = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) - DONE
    thread.join()
    return is_held
"""


@pytest.mark.long
def test_a_fork_waits_longer_for_a_thread_that_runs() -> None:
    """On a machine with a load of 17 a child of 60 found a lock of OpenSSL's held for ever.

    The thread that held it was about to run when the fork had waited for `FORK_SECONDS`.
    """
    check_python(_BUSY + "c_locks.LONGEST_SECONDS = 60\nassert fork(0.5) == 0")


def test_the_wait_for_a_thread_that_runs_is_bounded() -> None:
    """A stretch without an end holds no fork up for ever."""
    check_python(_BUSY + "c_locks.LONGEST_SECONDS = 0.2\nassert fork(2.0) == 1")


@pytest.mark.long
def test_the_wait_for_a_thread_that_runs_counts_from_the_begin_of_the_fork() -> None:
    """What a fork has waited for before is taken off: all its waits have one deadline."""
    check_python(
        _BUSY
        + """
c_locks.LONGEST_SECONDS = 60
thread = threading.Thread(target=stretch, args=(int(20_000 * 1.0 / work(20_000)),))
thread.start()
assert begun.wait(30)
c_locks._before(time.monotonic() - 61)
assert c_locks._gates[0].inside and c_locks._gates[0].is_closed
c_locks._after_in_parent()
thread.join()
"""
    )


def test_a_connection_waits_for_a_fork_a_bounded_time() -> None:
    """Where the hook after a fork never runs, a stretch begins all the same."""
    check_python(
        """
        import threading, time
        from forklog.transports import c_locks
        c_locks._before(time.monotonic())
        seen = []
        def enter():
            with c_locks.held():
                seen.append(time.monotonic())
        before = time.monotonic()
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(20)
        assert 0.5 < seen[0] - before < 10
        c_locks._after_in_parent()
        assert not c_locks._gates[0].is_closed and not c_locks._gates[0].inside
        """
    )


def test_a_name_that_is_not_found_is_looked_up_in_a_stretch_alone() -> None:
    """While names cannot be resolved, no look-up is repeated where a fork does not wait for it."""
    check_python(
        """
        import logging, socket
        import forklog
        from forklog.transports import c_locks
        seen = []
        def getaddrinfo(host, *args, **options):
            seen.append((host, bool(c_locks._gates[0].inside)))
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        socket.getaddrinfo = getaddrinfo
        handler = forklog.CloudLoggingHandler(
            endpoint="http://logging.example.invalid:80", project="p", max_retry_delay=0.05,
            shutdown_timeout=0.1, last_resort="none")
        log = logging.Logger("names")
        log.addHandler(handler)
        log.error("looked up")
        handler.flush(1)
        handler.close()
        assert seen and all(is_in for _, is_in in seen), seen
        requests = handler.stats().requests
        assert len(seen) <= requests, (seen, requests)
        """
    )


def test_a_name_is_looked_up_in_a_stretch(emulator: Emulator) -> None:
    """The resolver's lock was held in a child as well: 1 of 60, at a load of 8."""
    check_python(
        f"""
        import logging, socket, threading
        import forklog
        from forklog.transports import c_locks
        genuine, seen = socket.getaddrinfo, []
        def getaddrinfo(host, *args, **options):
            seen.append((host, bool(c_locks._gates[0].inside)))
            return genuine(host, *args, **options)
        socket.getaddrinfo = getaddrinfo
        handler = forklog.CloudLoggingHandler(
            endpoint="http://localhost:{emulator.url.rpartition(":")[2]}", project="p")
        log = logging.Logger("names")
        log.addHandler(handler)
        log.error("looked up")
        assert handler.flush(20), handler.stats()
        assert [is_in for host, is_in in seen if host == "localhost"] == [True], seen
        """
    )
    assert [entry["textPayload"] for entry in emulator.entries()] == ["looked up"]
