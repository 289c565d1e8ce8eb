"""Whatever a log call has returned from is delivered, though its process was killed in any instant.

Each writer keeps a ledger of its own in a mapped page: how many log calls of each thread have
returned. A living process with the same spool adopts; what is twice in the journal is one entry.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from helpers import check_python

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough

# Of each test; 300 in all, those of adopters and of the servers' tests included. By hand, for a
# release: FORKLOG_KILLS=1250 make test-long PYTEST="tests/spool/test_kill.py --timeout 3600".
_KILLS = int(os.environ.get("FORKLOG_KILLS", "60"))
_SECONDS = 110 * max(1, _KILLS // 60)

_SETUP = """
import collections, logging, mmap, os, random, signal, struct, sys, threading, time
import forklog
from forklog.testing import Deliver, FakeTransport, Hang

FOLDER = {folder!r}
THREADS = 3
HUNG = FakeTransport(Hang(times=1000))  # a forked child goes on in the script where its parent was
random.seed({seed})

def handler_with(transport, **options):
    return forklog.CloudLoggingHandler(
        transport=transport, project="p", spool=FOLDER, max_latency=0.01,
        spool_max_folder_bytes=2**40,  # of a thousand writers, whose adopters are killed as well
        **options
    )

def logger_with(handler):
    logger = logging.Logger("spool", logging.DEBUG)
    logger.addHandler(handler)
    return logger

def texts(transport):
    '''What a reader sees: entries with one insertId and timestamp are one.'''
    entries = {{(e["insertId"], e["timestamp"]): e["textPayload"] for e in transport.entries}}
    return collections.Counter(entries.values())

def writer(page, number, transport, burst, most=None):
    '''Log from several threads until killed, or `most` each; note each call that has returned.'''
    log = logger_with(handler_with(transport))
    def work(thread):
        i = 0
        while i != most:
            log.info("%d/%d/%d %s", number, thread, i, "x" * (i % 700))
            i += 1
            struct.pack_into("=Q", page, 8 * thread, i)
            if i % burst == 0:
                time.sleep(0.001)
        time.sleep(60)
    for thread in range(1, THREADS):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    work(0)

def check(pages, seen):
    missing = [
        (number, thread, i)
        for number, page in pages.items()
        for thread in range(THREADS)
        for i in range(struct.unpack_from("=Q", page, 8 * thread)[0])
        if f"{{number}}/{{thread}}/{{i}} " + "x" * (i % 700) not in seen
    ]
    assert not missing, (len(missing), missing[:5])
    assert max(seen.values()) == 1, seen.most_common(3)
    assert sum(struct.unpack_from("=Q", page)[0] for page in pages.values()) > 0
"""

_KILL = """
transport = FakeTransport()
pages = {{}}
for number in range({kills}):
    page = pages[number] = mmap.mmap(-1, mmap.PAGESIZE)
    pid = os.fork()
    if pid == 0:
        writer(page, number, {wire}, burst=random.choice([5, 50, 5000]))
    deadline = time.monotonic() + 20
    while not struct.unpack_from("=Q", page)[0] and time.monotonic() < deadline:
        time.sleep(0.0002)
    time.sleep(random.random() * 0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
adopter = handler_with(transport)
logger_with(adopter).info("adopter")
deadline = time.monotonic() + {seconds}
while [name for name in os.listdir(FOLDER) if name.endswith(".head")][1:]:
    assert time.monotonic() < deadline, (os.listdir(FOLDER), adopter.stats())
    time.sleep(0.01)
assert adopter.flush(20)
check(pages, texts(transport))
deadline = time.monotonic() + 20  # the files are gone before the delivery is booked
while not (stats := adopter.stats()).recovered == stats.delivered - 1 > 0:
    assert time.monotonic() < deadline, stats
adopter.close()
left = [name for name in os.listdir(FOLDER) if not name.endswith(".new")]  # killed at once
assert left == [], left
"""


@pytest.fixture(params=["memory", "disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the path of a folder that does not exist yet."""
    if request.param == "disk":
        yield str(tmp_path / "spool")
        return
    if not Path("/dev/shm").is_dir():  # noqa: S108 - a folder of its own in it
        pytest.skip("this system has no shared memory")
    with TemporaryDirectory(dir="/dev/shm") as made:
        yield f"{made}/spool"
        shutil.rmtree(f"{made}/spool", ignore_errors=True)


@pytest.mark.parametrize("wire", ["HUNG", "transport"], ids=["outage", "calm"])
def test_a_killed_writer_loses_nothing(folder: str, wire: str) -> None:
    """Killed in the middle of its log calls, with and without a server: nothing is missing."""
    setup = _SETUP.format(folder=folder, seed=7)
    body = _KILL.format(kills=_KILLS, wire=wire, seconds=_SECONDS // 2)
    check_python(setup + body, _SECONDS, is_covered=False)


def test_a_killed_adopter_loses_nothing(folder: str) -> None:
    """Adopters that are killed while they deliver leave the rest to the next one."""
    body = """
transport = FakeTransport()
pages = {}
for number in range(4):
    page = pages[number] = mmap.mmap(-1, mmap.PAGESIZE)
    pid = os.fork()
    if pid == 0:
        writer(page, number, FakeTransport(Hang(times=1000)), burst=100000, most=2000)
    while struct.unpack_from("=Q", page)[0] < 1500:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
killed = 0
for _ in range(15):
    pid = os.fork()
    if pid == 0:
        adopter = handler_with(transport, max_batch_entries=200)
        logger_with(adopter).info("adopter %d", os.getpid())
        time.sleep(60)
    begun = len(transport.sent)
    deadline = time.monotonic() + 20
    while len(transport.sent) < begun + 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(random.random() * 0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    killed += 1
last = handler_with(transport)
logger_with(last).info("last")
deadline = time.monotonic() + 60
while [name for name in os.listdir(FOLDER) if name.endswith(".head")][1:]:
    assert time.monotonic() < deadline, os.listdir(FOLDER)
    time.sleep(0.01)
assert last.flush(20)
check(pages, texts(transport))
"""
    check_python(_SETUP.format(folder=folder, seed=8) + body, 110, is_covered=False)


def test_forks_signals_and_finalizers_do_not_mix(folder: str) -> None:
    """Threads, a signal's handler, finalizers, a profiler and forks log at once, then a kill."""
    body = """
import gc, itertools
transport = FakeTransport()
page = mmap.mmap(-1, mmap.PAGESIZE)
counts = collections.Counter()

def child():
    handler = handler_with(FakeTransport(Hang(times=1000)))
    log = logger_with(handler)
    expected = open(FOLDER + ".expected", "ab", buffering=0)
    def say(kind):
        counts[kind] += 1
        who = os.getpid(), kind, threading.get_ident(), counts[kind], time.perf_counter_ns()
        text = " ".join(map(str, who))
        log.info(text)
        expected.write(text.encode() + b"\\n")
    class Cycle:
        def __init__(self):
            self.me = self
        def __del__(self):
            say("finalizer")
    signal.signal(signal.SIGVTALRM, lambda *_: say("signal"))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.002, 0.002)
    gc.set_threshold(100)  # newer Pythons collect later than this process ends
    calls = itertools.count(1)
    def profile(*_):
        if next(calls) % 500 == 0:  # what it calls itself is not profiled
            say("profile")
    threading.setprofile(profile)
    sys.setprofile(profile)
    def work():
        for _ in range(400):
            say("thread")
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(400):
        say("main")
        Cycle()
        if number % 100 == 50:
            pid = os.fork()
            if pid == 0:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                for _ in range(20):
                    say("grandchild")
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
    for thread in threads:
        thread.join()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    os.kill(os.getpid(), signal.SIGKILL)

pid = os.fork()
if pid == 0:
    child()
os.waitpid(pid, 0)
adopter = handler_with(transport)
logger_with(adopter).info("adopter")
deadline = time.monotonic() + 60
while [name for name in os.listdir(FOLDER) if name.endswith(".head")][1:]:
    assert time.monotonic() < deadline, os.listdir(FOLDER)
    time.sleep(0.01)
assert adopter.flush(20)
seen = texts(transport)
wanted = open(FOLDER + ".expected").read().split("\\n")[:-1]
assert len(wanted) > 1500
kinds = {"main", "thread", "signal", "finalizer", "profile", "grandchild"}
found = collections.Counter(text.split()[1] for text in wanted)
assert set(found) == kinds, found
assert not [text for text in wanted if text not in seen]
assert max(seen.values()) == 1
"""
    setup = _SETUP.format(folder=folder, seed=9)
    check_python(setup + body, 110, is_covered=False)
    Path(f"{folder}.expected").unlink()
