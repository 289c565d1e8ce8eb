"""A free-threaded build: encoder, insertIds and buffer where no interpreter lock orders them.

orjson has no wheel there, so a stand-in made of `json` encodes. The other packages are those of the
interpreter that runs the tests. Skipped where no such build is
found: name one by the variable FORKLOG_FREE_THREADED, or have a python3.14t on the PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_NAMES = (os.environ.get("FORKLOG_FREE_THREADED", ""), "python3.15t", "python3.14t", "python3.13t")
_PYTHON = next((found for name in _NAMES if name and (found := shutil.which(name))), "")
pytestmark = pytest.mark.skipif(not _PYTHON, reason="no free-threaded Python was found")

_BEGIN = """
import logging, sys, threading
from forklog.delivery.buffer import Buffer
from forklog.delivery.free_threaded.buffer import UnlockedBuffer
from forklog.encoding.encoder import Encoder
from forklog.insert_id import InsertIds, number_of
from forklog.turn import HAS_GIL

assert not HAS_GIL and not sys._is_gil_enabled()

def at_once(work, threads=8):
    barrier = threading.Barrier(threads)
    def run():
        barrier.wait(30)
        work()
    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running: thread.start()
    for thread in running: thread.join()
"""


def _run(script: str) -> None:
    # What is compiled there is for another build; requests and google-auth are not.
    others = sysconfig.get_path("purelib")
    path = os.pathsep.join([str(_ROOT), str(_ROOT / "tests/support/free_threaded"), others])
    done = subprocess.run(
        [_PYTHON, "-X", "gil=0", "-c", _BEGIN + script],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_insert_ids_are_unique() -> None:
    """Eight threads at once get each number once, and none is left out."""
    _run("""
ids, made = InsertIds(), []
def work():
    made.append([number_of(ids.opening()) for _ in range(5_000)])
at_once(work)
assert sorted(sum(made, [])) == list(range(40_000))
assert all(numbers == sorted(numbers) for numbers in made)
""")


def test_the_sums_of_the_buffer_stay_true() -> None:
    """Eight threads offer while one takes: every entry comes out once, the sum is right."""
    _run("""
ids, buffer, taken, done = InsertIds(), UnlockedBuffer(10**9), [], threading.Event()
def offer():
    for _ in range(2_500):
        buffer.offer(2, ids.opening() + b'"}')
def take():
    while not done.is_set() or len(buffer):
        run = []
        buffer.take(run, 100, 10**9)
        taken.extend(run)
        buffer.settle(sum(map(len, run)))
taker = threading.Thread(target=take)
taker.start()
at_once(offer)
done.set()
taker.join()
assert len(taken) == len(set(taken)) == 20_000
assert buffer.bytes == 0, buffer.bytes
""")


def test_what_an_overflow_drops_is_counted() -> None:
    """Threads that overflow the buffer keep its bound, and each dropped entry is counted once."""
    _run("""
ids, dropped = InsertIds(), []
buffer = UnlockedBuffer(2000, on_overflow=dropped.append)
def offer():
    for _ in range(5_000):
        buffer.offer(2, ids.opening() + b'"}')
at_once(offer)
left = [entry for _, entry in buffer.snapshot()]
assert buffer.count_overflowed() == len(dropped) == 40_000 - len(left)
assert len({*dropped, *left}) == 40_000
assert buffer.bytes == sum(map(len, left)) <= 2000, buffer.bytes
""")


def test_records_are_encoded_by_threads_at_once() -> None:
    """Each record of eight threads becomes one entry with its own text, by either encoder."""
    _run("""
import json
ids, made = InsertIds(), []
encoder = Encoder(logging.Formatter().format, {}, lambda: "p")
def record(number, **extra):
    line = number % 50  # a few call sites
    made = logging.LogRecord("shop", 20, "shop.py", line, "%d is here", (number,), None, "sell")
    vars(made).update(extra)
    return made
def work():
    own = []
    for number in range(500):
        extra = {"labels": {"n": str(number)}} if number % 2 else {}
        _, entry = encoder.encode(record(number, **extra), ids.opening)
        own.append(entry)
    made.append(own)
at_once(work)
entries = [json.loads(entry) for own in made for entry in own]
assert len({entry["insertId"] for entry in entries}) == 4_000
for own in made:
    texts = [json.loads(entry)["textPayload"] for entry in own]
    assert texts == [f"{number} is here" for number in range(500)]
""")


def test_a_handler_delivers_what_threads_and_children_log() -> None:
    """Every record of eight threads and of four forked children arrives once; the sums agree."""
    _run("""
import os
from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport

transport = FakeTransport()
handler = CloudLoggingHandler(project="p", transport=transport, max_latency=0.01)
logger = logging.getLogger("shop")
logger.setLevel("INFO")
logger.addHandler(handler)
def work(who="parent"):
    for number in range(1_000):
        logger.info("%s %s", who, number)
at_once(work)
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        at_once(lambda: work(child), threads=2)
        assert handler.flush(30)
        os._exit(77)
    children.append(pid)
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 77
assert handler.flush(30), handler.stats()
stats = handler.stats()
assert (stats.accepted, stats.delivered, stats.pending_bytes) == (8_000, 8_000, 0), stats
entries = transport.entries
assert len(entries) == len({entry["insertId"] for entry in entries}) == 16_000
handler.close()
""")
