"""Log calls from where other handlers must not be called: each place made to be entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

SETUP = """
import collections, gc, itertools, logging, os, sys, threading, time, weakref
import forklog
from forklog.testing import FakeTransport, Hang

transport = FakeTransport()
handler = forklog.CloudLoggingHandler(transport=transport, max_latency=0.005)
log = logging.getLogger("places")
log.addHandler(handler)
log.setLevel(logging.INFO)
logged, where = [], collections.Counter()
numbers = itertools.count()

def say(kind):
    text = f"{kind} {next(numbers)}"
    log.info("%s", text)
    logged.append(text)
    where[threading.current_thread().name.partition("-")[0]] += 1

def check():
    deadline = time.monotonic() + 20
    while True:  # what is logged in the flush thread comes after the flush that it belongs to
        assert handler.flush(20), handler.stats()
        texts = [e["textPayload"] for e in transport.entries]
        stats = handler.stats()
        right = collections.Counter(texts) == collections.Counter(logged)
        if right and stats.accepted == stats.delivered == len(logged):
            return
        assert time.monotonic() < deadline, (stats, set(texts) ^ set(logged))
"""


def check(body: str, end: str = "check()") -> None:
    """Run a body after the set-up, then check that every record arrived once."""
    check_python(f"{SETUP}\n{body}\n{end}\n", 60)


def test_finalizers_and_weakref_callbacks() -> None:
    """Both run inside the flush thread's request and inside log calls, and log there."""
    check("""
class Grave:
    def __init__(self):
        self.me = self  # dies when the collector comes, in whatever thread that is
    def __del__(self):
        say("del")

class Watched:
    def __init__(self):
        self.me = self

watchers = []

def bury():
    Grave()
    watchers.append(weakref.ref(Watched(), lambda _: say("weakref")))
    gc.collect()

class Dying:
    def __str__(self):
        bury()
        return "outer"

send = type(transport.open()).send
def send_and_bury(self, entries, timeout):
    if len(transport.sent) < 60:
        bury()
    return send(self, entries, timeout)
type(transport.open()).send = send_and_bury

for _ in range(50):
    log.info("%s %d", Dying(), n := next(numbers))
    logged.append(f"outer {n}")
    handler.flush(20)
# Whose collection finds a grave is up to the interpreter; all are found.
assert where["forklog"] > 20 and where["MainThread"] > 20 and sum(where.values()) >= 190, where
""")


def test_a_collector_that_runs_all_the_time() -> None:
    """With a collection at every allocation, finalizers log at hundreds of lines of two threads."""
    check("""
class Grave:
    def __init__(self):
        self.me = self
    def __del__(self):
        say("del")

gc.set_threshold(1, 1, 1)
deadline = time.monotonic() + 30
while where["forklog"] < 20 or len(logged) < 500:
    Grave()
    say("outer")
    Grave()
    time.sleep(0.0005)
    assert time.monotonic() < deadline, where
gc.set_threshold(700, 10, 10)
gc.collect()
""")


def test_an_audit_hook(emulator: Emulator) -> None:
    """A hook that logs each event logs those of our own threads, sockets and pages as well."""
    check_python(f"""
        import collections, sys, threading, logging, os
        import forklog
        busy = threading.local()
        logged = []
        events = collections.Counter()

        def hook(event, arguments):
            # Logging itself raises sys._getframe, so a hook that logs has to leave that out.
            if getattr(busy, "is_so", False) or len(logged) > 3000:
                return
            busy.is_so = True
            try:
                text = f"{{event}} {{len(logged)}} {{threading.get_ident()}}"
                logging.info("%s", text)
                logged.append(text)
                events[event] += 1
            finally:
                busy.is_so = False

        handler = forklog.CloudLoggingHandler(
            endpoint={emulator.url!r}, project="p", max_latency=0.001)
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        sys.addaudithook(hook)
        for n in range(30):
            open(os.devnull).close()
            assert handler.flush(20)
            if n % 10 == 9:
                handler.close()  # so that threads, pages and sockets are made anew
        assert {{"open", "socket.connect", "http.client.send"}} <= set(events), events
        handler.close()
        with open("/dev/stdout", "w") as out:
            out.write("\\n".join(logged))
        os._exit(DONE)
    """)
    texts = [entry["textPayload"] for entry in emulator.entries()]
    assert len(texts) == len(set(texts)) > 60


def test_while_the_import_lock_is_held(emulator: Emulator) -> None:
    """The first record is delivered although the import lock is held: nothing is imported."""
    check_python(f"""
        import _imp, logging
        import forklog
        handler = forklog.CloudLoggingHandler(endpoint={emulator.url!r}, project="p")
        logging.getLogger().addHandler(handler)
        _imp.acquire_lock()
        logging.error("under the lock")
        assert handler.flush(10), handler.stats()
        _imp.release_lock()
    """)
    assert [entry["textPayload"] for entry in emulator.entries()] == ["under the lock"]


def test_a_module_that_logs_and_flushes_while_it_is_imported(emulator: Emulator) -> None:
    """Configured, used and flushed inside an import, the handler delivers before that is over."""
    check_python(f"""
        import sys, pathlib, tempfile
        lines = [
            "import logging, forklog",
            "handler = forklog.CloudLoggingHandler(endpoint={emulator.url!r}, project='p')",
            "logging.getLogger().addHandler(handler)",
            "logging.warning('at import')",
            "is_sent = handler.flush(10)",
        ]
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "app.py").write_text("\\n".join(lines))
            sys.path.insert(0, folder)
            import app
            assert app.is_sent
    """)
    assert [entry["textPayload"] for entry in emulator.entries()] == ["at import"]


def test_asyncio() -> None:
    """Coroutines and callbacks log without holding up their loop, though the server hangs."""
    check("""
import asyncio
transport.then(Hang())
beats = []

async def beat():
    while len(beats) < 50:
        beats.append(handler.stats().delivered)
        await asyncio.sleep(0.001)

async def work(number):
    for _ in range(20):
        say(f"task {number}")
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(say, "callback")

async def main():
    await asyncio.gather(beat(), *(work(n) for n in range(20)))
    await asyncio.sleep(0.01)

asyncio.run(main())
assert beats == [0] * 50  # all of it took place while the request hung
transport.release()
assert len(logged) == 800
""")


def test_greenlets_that_switch_inside_a_log_call() -> None:
    """Log calls that are left in the middle and end in another order than a stack's all arrive."""
    check("""
import greenlet

class Switching:
    def __init__(self, text):
        self.text = text
    def __str__(self):
        main.switch()  # away, out of the middle of emit
        return self.text

def work(number):
    for step in range(10):
        text = f"green {number} {step}"
        log.info("%s", Switching(text))
        logged.append(text)

main = greenlet.getcurrent()
for _ in range(20):
    greens = [greenlet.greenlet(work) for _ in range(5)]
    for number, green in enumerate(greens):
        green.switch(f"{_} {number}")
    while alive := [green for green in greens if not green.dead]:
        for green in alive:  # first in, first out: no stack does that
            green.switch()
assert len(logged) == 1000
""")


def test_gevent(emulator: Emulator) -> None:
    """With everything patched, greenlets log, a forked child logs, and each record arrives once."""
    check_python(
        f"""
        from gevent import monkey
        monkey.patch_all()
        import gevent, logging, os, warnings
        import forklog
        warnings.simplefilter("ignore", DeprecationWarning)  # gevent's own threads at a fork
        handler = forklog.CloudLoggingHandler(
            endpoint={emulator.url!r}, project="p", max_latency=0.01)
        log = logging.getLogger("green"); log.addHandler(handler); log.setLevel(20)

        def work(number):
            for step in range(20):
                log.info("green %d %d", number, step)
                gevent.sleep(0)

        gevent.joinall([gevent.spawn(work, n) for n in range(20)], raise_error=True)
        assert handler.flush(20), handler.stats()
        for number in range(20):
            log.info("parent %d", number)
            child = os.fork()
            if not child:
                gevent.joinall([gevent.spawn(log.info, "child %d", number)])
                os._exit(DONE if handler.flush(20) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
        log.info("last")  # the exit hook delivers it
    """,
        60,
    )
    texts = sorted(entry["textPayload"] for entry in emulator.entries())
    green = [f"green {n} {step}" for n in range(20) for step in range(20)]
    forked = [f"{who} {n}" for who in ("parent", "child") for n in range(20)]
    assert texts == sorted([*green, *forked, "last"])


def test_gevent_with_a_request_under_way_at_the_fork(emulator: Emulator) -> None:
    """The parent's flush greenlet, which a fork copies, does not go on in the child."""
    emulator.fault("delay", seconds=0.1, on="write")
    check_python(
        f"""
        from gevent import monkey
        monkey.patch_all()
        import gevent, logging, os, warnings
        import forklog
        warnings.simplefilter("ignore", DeprecationWarning)
        handler = forklog.CloudLoggingHandler(
            endpoint={emulator.url!r}, project="p", max_latency=0)
        log = logging.getLogger("green"); log.addHandler(handler); log.setLevel(20)
        for number in range(20):
            log.info("parent %d", number)
            asked = handler.stats().requests
            while handler.stats().requests == asked:
                gevent.sleep(0.001)
            child = os.fork()
            if not child:
                log.info("child %d", number)
                os._exit(DONE if handler.flush(20) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
            assert handler.flush(20)
        assert handler.stats().retries == 0, handler.stats()
    """,
        60,
    )
    emulator.clear_faults()
    texts = sorted(entry["textPayload"] for entry in emulator.entries())
    assert texts == sorted(f"{who} {n}" for who in ("parent", "child") for n in range(20))
