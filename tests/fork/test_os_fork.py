"""Real forks, each body in a fresh interpreter; one journal has what each process sent."""

from __future__ import annotations

from helpers import check_python

SETUP = """
import logging, os, sys, threading, time
import forklog
from forklog.testing import FakeTransport

transport = FakeTransport()
handler = forklog.CloudLoggingHandler(transport=transport, max_latency=0.01)
log = logging.getLogger("fork")
log.addHandler(handler)
log.setLevel(logging.INFO)
expected = []

def texts():
    return sorted(entry["textPayload"] for entry in transport.entries)

def wait(pid, status=DONE):
    ended, code = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(code) == status, code

def check():
    assert handler.flush(10), handler.stats()
    strange = sorted(set(expected) ^ set(texts()))[:5]
    assert texts() == sorted(expected), (len(texts()), len(expected), strange)
"""


def check(body: str, timeout: float = 60) -> None:
    """Run a body after the set-up, warnings being errors where Python can raise them."""
    check_python(SETUP + body, timeout)


def test_children_deliver_their_own_records_only() -> None:
    """Twenty children in turn: each record of parent and children arrives once."""
    check("""
for number in range(20):
    log.info("parent %d", number); expected.append(f"parent {number}")
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        sys.exit(DONE)
    expected.append(f"child {number}")
    wait(pid)
check()
""")


def test_chains_five_deep() -> None:
    """Every generation delivers, twenty times over."""
    check("""
def chain(number, depth):
    log.info("level %d of %d", depth, number)
    if depth < 5:
        pid = os.fork()
        if pid == 0:
            chain(number, depth + 1)
            sys.exit(DONE)
        wait(pid)

for number in range(20):
    expected += [f"level {depth} of {number}" for depth in range(6)]
    chain(number, 0)
check()
""")


def test_forks_while_four_threads_log() -> None:
    """Thirty forks under four threads that log: nothing is lost, doubled or hung."""
    check(
        """
stop = threading.Event()
counts = [0] * 4

def storm(index):
    while not stop.is_set():
        log.info("storm %d %d", index, counts[index])
        counts[index] += 1
        if counts[index] % 10 == 0:
            time.sleep(0.001)

threads = [threading.Thread(target=storm, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for number in range(30):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        ok = handler.flush(10)
        os._exit(DONE if ok else 1)
    expected.append(f"child {number}")
    wait(pid)
stop.set()
for thread in threads: thread.join()
expected += [f"storm {i} {n}" for i, count in enumerate(counts) for n in range(count)]
check()
assert handler.stats().accepted == sum(counts)
""",
        100,
    )


def test_a_fork_from_another_thread() -> None:
    """A child forked by a thread that is not the main one delivers, twenty times."""
    check("""
def work(number):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(DONE if handler.flush(10) else 1)
    wait(pid)

log.info("parent"); expected.append("parent")
for number in range(20):
    expected.append(f"child {number}")
    thread = threading.Thread(target=work, args=(number,))
    thread.start()
    thread.join()
check()
""")


def test_locks_held_at_the_fork_stop_nobody() -> None:
    """A child forked while another thread holds the ledger's and logging's locks still delivers."""
    check("""
log.info("parent"); expected.append("parent")
for number in range(20):
    held, go = threading.Event(), threading.Event()

    def hold():
        with handler._gate.product.flusher.ledger, handler._gate.product.driver._settled:
            held.set()
            go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(DONE if handler.flush(10) else 1)
    go.set()
    thread.join()
    expected.append(f"child {number}")
    wait(pid)
check()
""")


def test_a_full_queue_stays_the_parents() -> None:
    """While the parent's batch hangs, children deliver only their own; then the parent delivers."""
    check("""
from forklog.testing import Hang
transport.then(Hang())
for number in range(500):
    log.info("parent %d", number)
expected += [f"parent {n}" for n in range(500)]
while not handler.stats().requests:
    time.sleep(0.001)
parent = os.getpid()
for number in range(20):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(DONE if handler.flush(10) else 1)
    expected.append(f"child {number}")
    wait(pid)
assert len(transport.entries) == 20 and handler.stats().pending == 500, handler.stats()
transport.release()
check()
assert len(transport.entries_of(parent)) == 500
""")


def test_a_daemon_that_closes_everything_still_delivers(emulator: object) -> None:
    """A double-forked daemon without any inherited descriptor reaches the real server."""
    host = getattr(emulator, "host", "")
    entries = getattr(emulator, "entries", list)
    check_python(
        """
import logging, os, sys
import forklog
handler = forklog.CloudLoggingHandler()
log = logging.getLogger("daemon"); log.addHandler(handler); log.setLevel(20)
log.info("parent")
assert handler.flush(10)
for number in range(20):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        second = os.fork()
        if second:
            ended, code = os.waitpid(second, 0)
            os._exit(os.waitstatus_to_exitcode(code))
        os.closerange(0, 256)
        log.info("daemon %d", number)
        os._exit(DONE if handler.flush(10) else 1)
    ended, code = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(code) == DONE
assert handler.flush(10)
""",
        env={"LOGGING_EMULATOR_HOST": host},
    )
    found = sorted(entry["textPayload"] for entry in entries())
    assert found == sorted(["parent", *(f"daemon {n}" for n in range(20))])


def test_a_child_that_never_logs_pays_nothing() -> None:
    """A silent child has no thread of ours, no new descriptor, and sends nothing."""
    check("""
log.info("parent"); expected.append("parent")
assert handler.flush(10)
for number in range(20):
    before = len(os.listdir("/proc/self/fd"))
    pid = os.fork()
    if pid == 0:
        assert threading.active_count() == 1
        assert len(os.listdir("/proc/self/fd")) <= before
        sys.exit(DONE)
    wait(pid)
check()
""")


def test_exit_hooks_deliver_what_is_pending() -> None:
    """With a latency of a minute only the exit hook can deliver a child's record; it does."""
    check("""
slow = forklog.CloudLoggingHandler(transport=transport, max_latency=60)
log.handlers = [slow]
for number in range(20):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        sys.exit(DONE)
    expected.append(f"child {number}")
    wait(pid)
check()
""")


def test_multiprocessing_children_deliver() -> None:
    """Processes, pools and executors that fork deliver, although they skip atexit."""
    check("""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
context = multiprocessing.get_context("fork")
slow = forklog.CloudLoggingHandler(transport=transport, max_latency=60)
log.handlers = [slow]

def work(number):
    log.info("job %d", number)

for number in range(20):
    process = context.Process(target=work, args=(number,))
    process.start()
    process.join(20)
    assert process.exitcode == 0, process
with context.Pool(2) as pool:
    pool.map(work, range(20, 40))
    pool.close()
    pool.join()
with ProcessPoolExecutor(2, mp_context=context) as executor:
    list(executor.map(work, range(40, 60)))
expected += [f"job {n}" for n in range(60)]
check()
""")


def test_forking_warns_of_no_thread_of_ours() -> None:
    """From Python 3.12 on a fork warns of living threads; ours is at rest then, and comes back."""
    check("""
import warnings
warnings.simplefilter("error", DeprecationWarning)
for number in range(20):
    log.info("parent %d", number); expected.append(f"parent {number}")
    assert handler.flush(10)
    pid = os.fork()
    if pid == 0:
        os._exit(DONE)
    wait(pid)
check()
""")
