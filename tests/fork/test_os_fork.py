"""os.fork and its relatives, each body in a fresh interpreter; one journal has what was sent."""

from __future__ import annotations

import sys

import pytest
from helpers import check_python

SETUP = """
import collections, logging, os, signal, subprocess, sys, threading, time, warnings
import forklog
from forklog.testing import FakeTransport

warnings.simplefilter("ignore", DeprecationWarning)  # of bodies that fork beside their own threads
transport = FakeTransport()
handler = forklog.CloudLoggingHandler(transport=transport, max_latency=0.01)
log = logging.getLogger("fork")
log.addHandler(handler)
log.setLevel(logging.INFO)
expected = []

def say(text):
    expected.append(text)
    log.info("%s", text)

def wait(pid, status=DONE):
    deadline = time.monotonic() + 20
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGUSR1)  # faulthandler writes the stacks
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{pid} hangs; its stacks are above")
        time.sleep(0.001)
    assert os.waitstatus_to_exitcode(found[1]) == status, found

def check():
    assert handler.flush(10), handler.stats()
    texts = sorted(entry["textPayload"] for entry in transport.entries)
    assert texts == sorted(expected), sorted(set(expected) ^ set(texts))[:5]
"""


def check(body: str, timeout: float = 60, *, is_covered: bool = False) -> None:
    """Run a body after the set-up, then check that every record arrived once.

    Each of its children would write a file for the coverage, for lines that all of them run.
    """
    check_python(f"{SETUP}{body}\ncheck()\n", timeout, is_covered=is_covered)


def test_a_fork_from_another_thread() -> None:
    """A child forked by a thread that is not the main one delivers, twenty times."""
    check(
        """
def work(number):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(DONE if handler.flush(10) else 1)
    wait(pid)

say("parent")
for number in range(20):
    expected.append(f"child {number}")
    thread = threading.Thread(target=work, args=(number,))
    thread.start()
    thread.join()
""",
        is_covered=True,
    )


def test_a_child_that_never_logs_pays_nothing() -> None:
    """A silent child has no thread of ours, no new descriptor, and sends nothing."""
    check("""
say("parent")
assert handler.flush(10)
for number in range(20):
    before = len(os.listdir("/proc/self/fd"))
    pid = os.fork()
    if pid == 0:
        assert threading.active_count() == 1
        assert len(os.listdir("/proc/self/task")) == 1
        assert len(os.listdir("/proc/self/fd")) <= before
        sys.exit(DONE)
    wait(pid)
""")


def test_four_threads_log_while_forty_children_come() -> None:
    """Forks under four threads that log as fast as they can: nothing is lost, doubled or hung."""
    check(
        """
stop = threading.Event()
counts = [0] * 4

def storm(index):
    while not stop.is_set() and counts[index] < 4_000:
        log.info("storm %d %d", index, counts[index])
        counts[index] += 1

threads = [threading.Thread(target=storm, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for number in range(40):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(DONE if handler.flush(20) else 1)
    expected.append(f"child {number}")
    wait(pid)
stop.set()
for thread in threads: thread.join()
assert handler.flush(60), handler.stats()
expected += [f"storm {i} {n}" for i, count in enumerate(counts) for n in range(count)]
assert handler.stats().accepted == sum(counts)
""",
        100,
    )


def test_forkpty_and_pty_fork() -> None:
    """Children with a terminal of their own deliver, twenty of each."""
    check("""
import pty
for number in range(20):
    for fork in (os.forkpty, pty.fork):
        say(f"parent {number} {fork.__name__}")
        pid, terminal = fork()
        if pid == 0:
            log.info("child %d %s", number, fork.__name__)
            os._exit(DONE if handler.flush(10) else 1)
        expected.append(f"child {number} {fork.__name__}")
        wait(pid)
        os.close(terminal)
""")


def test_programs_started_beside_it_all() -> None:
    """posix_spawn, subprocess, and preexec_fn, which runs Python in the child, disturb nothing."""
    check("""
def before_exec():  # in the forked child, where it may log: there is time to send it
    log.info("child %d", number)
    handler.flush(10)

program = [sys.executable, "-S", "-c", "import os; print(*sorted(os.listdir('/proc/self/fd')))"]
seen = collections.Counter()
for number in range(20):
    say(f"parent {number}")
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {DONE}"], os.environ)
    wait(pid)
    say(f"between {number}")
    for function in (None, before_exec):
        run = subprocess.run(
            program, preexec_fn=function, close_fds=False, check=True,
            capture_output=True, text=True, timeout=20)
        seen[run.stdout] += 1
    expected.append(f"child {number}")
assert len(seen) == 1, seen  # the same descriptors whoever started it: none of ours
assert list(seen) == ["0 1 2 3\\n"], seen  # 3 is the listing's own
""")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="os.fork does not warn there")
def test_the_relatives_of_fork_warn_of_nothing_of_ours() -> None:
    """os.forkpty and multiprocessing, right after a record, find no thread of ours."""
    check("""
import multiprocessing
context = multiprocessing.get_context("fork")
warned = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, *_: warned.append(str(message))
for number in range(20):
    say(f"parent {number}")
    pid, terminal = os.forkpty()
    if pid == 0:
        os._exit(DONE)
    wait(pid)
    os.close(terminal)
    say(f"again {number}")
    process = context.Process(target=int)
    process.start()
    process.join(20)
    assert process.exitcode == 0
assert not warned, warned
""")
