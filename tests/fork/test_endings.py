"""How processes end: by which hook the last record is delivered, and how long that may take."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import DONE, python_path, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator

SHUTDOWN_SECONDS = 3.0
# With several hooks at an exit, each waiting its full time, it would take twice SHUTDOWN_SECONDS.
MOST_SECONDS = 2 * SHUTDOWN_SECONDS - 0.1  # two seconds for a machine that is busy with other tests

SETUP = """
import atexit, faulthandler, logging, os, signal, sys, threading, time
import forklog
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs that a shell has started
handler = forklog.CloudLoggingHandler(
    endpoint={url!r}, project="p", max_latency={latency}, last_resort="none",
    shutdown_timeout={timeout})
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel("INFO")
logging.info("first")
handler.flush(0.1)

def leave():
    print(f"leaving at {{time.time()}}", flush=True)
"""

ENDS = {
    "falls off the end": ("", 0),
    "sys.exit": (f"sys.exit({DONE})", DONE),
    "an exception": ("raise ValueError", 1),
    "KeyboardInterrupt": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -signal.SIGINT),
    "SIGTERM with a handler": (
        (
            f"signal.signal(signal.SIGTERM, lambda *_: sys.exit({DONE}))\n"
            "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"
        ),
        DONE,
    ),
    "sys.exit in a forked child": (
        (
            "child = os.fork()\n"
            "if not child:\n    logging.info('last'); sys.exit(0)\n"
            f"os.waitpid(child, 0); os._exit({DONE})"
        ),
        DONE,
    ),
    "multiprocessing's os._exit": (
        (
            "import multiprocessing\n"
            "fork = multiprocessing.get_context('fork')\n"
            "child = fork.Process(target=logging.info, args=('last',))\n"
            f"child.start(); child.join(); os._exit({DONE})"
        ),
        DONE,
    ),
    "a child that forgets its atexit callbacks, as Airflow 3's tasks": (
        (
            "child = os.fork()\n"
            "if not child:\n"
            "    atexit._clear(); logging.info('last'); atexit._run_exitfuncs(); os._exit(0)\n"
            f"os.waitpid(child, 0); os._exit({DONE})"
        ),
        DONE,
    ),
    "a child that shuts logging down, as Airflow 2's tasks": (
        (
            "child = os.fork()\n"
            "if not child:\n    logging.info('last'); logging.shutdown(); os._exit(0)\n"
            f"os.waitpid(child, 0); os._exit({DONE})"
        ),
        DONE,
    ),
    "a daemon thread that goes on logging": (
        (
            "def chatter():\n"
            "    while True: logging.debug('x'); time.sleep(0.001)\n"
            "threading.Thread(target=chatter, daemon=True).start()"
        ),
        0,
    ),
}

_CONFIGURE = "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})\n"
_SHUT_DOWN = "logging.info('last'); logging.shutdown(); os._exit"
_BUSY = """
import logging.config
closed = handler.close
def close():
    handler.close = closed
    closed()
    thread = threading.Thread(target=handler.emit, args=(logging.makeLogRecord(AGAIN),))
    thread.start(); thread.join()  # it starts the handler again, then dictConfig clears its list
handler.close = close
AGAIN = {{"msg": "again"}}
logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False}})
{}
"""
_IN_FRONT = """
import logging.config, logging.handlers
logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False}})
memory = logging.handlers.MemoryHandler(100, flushLevel=60, target=handler)
logger = logging.getLogger("m")
logger.propagate = False
logger.addHandler(memory)
handler.emit(logging.makeLogRecord({{"msg": "again"}}))
logger.error('last')
logging.shutdown(); os._exit({})
"""
CONFIGURED = {
    "a process": (f"import logging.config\n{_CONFIGURE}{_SHUT_DOWN}({DONE})", DONE),
    "a child": (
        (
            f"import logging.config\n{_CONFIGURE}"
            f"child = os.fork()\nif not child:\n    {_SHUT_DOWN}(0)\n"
            f"os.waitpid(child, 0); os._exit({DONE})"
        ),
        DONE,
    ),
    "a process that logs while it configures": (_BUSY.format(f"{_SHUT_DOWN}({DONE})"), DONE),
    "a process with a handler in front": (_IN_FRONT.format(DONE), DONE),
}
"""Ends by `logging.shutdown` alone, after a configuration that has closed the handler."""


class Ended:
    """What became of a process: its status, its output, and how long its end took."""

    def __init__(self, end: str, url: str, latency: float = 60) -> None:
        """Run a process that logs and ends."""
        body, self.wanted = {**ENDS, **CONFIGURED}[end]
        setup = SETUP.format(url=url, latency=latency, timeout=SHUTDOWN_SECONDS)
        last = "" if "'last'" in body else "logging.info('last')"
        process = subprocess.Popen(
            [sys.executable, "-c", f"{setup}\n{last}\nleave()\n{body}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": python_path()},
        )
        try:
            out, self.output = process.communicate(timeout=60)
        finally:
            process.kill()
        self.seconds = time.time() - float(out.split()[-1])
        self.status = process.returncode


@pytest.mark.parametrize("end", few(ENDS, *list(ENDS)[::2], mark=pytest.mark.thorough))
def test_the_last_record_is_delivered(emulator: Emulator, end: str) -> None:
    """With max_latency far away, the hook that runs at this end delivers; each record once."""
    _check_last(emulator, end)


def _check_last(emulator: Emulator, end: str) -> None:
    ended = Ended(end, emulator.url)
    assert ended.status == ended.wanted, ended.output
    texts = [entry["textPayload"] for entry in emulator.entries()]
    assert [text for text in texts if text != "again"] == ["first", "last"], ended.output


@pytest.mark.parametrize("end", CONFIGURED)
def test_logging_shutdown_closes_what_a_configuration_has_closed(
    emulator: Emulator, end: str
) -> None:
    """The handler stays on its logger and starts again; ``dictConfig`` took it off the list.

    Class of fault: an end that only `logging.shutdown` announces, of a handler it does not know.
    """
    _check_last(emulator, end)


@pytest.mark.parametrize("end", ["", "del handler; logging.getLogger().handlers.clear()"])
def test_a_handler_that_is_listed_again_ends_quietly(end: str) -> None:
    """At the end of the interpreter it puts itself on no list, and prints nothing.

    Closes: a traceback for each, because the names of a module are gone then.
    """
    done = run_python(
        f"""
        import gc, logging, logging.config, forklog
        from forklog.testing import FakeTransport
        handler = forklog.CloudLoggingHandler(transport=FakeTransport(), project="p")
        logging.getLogger().addHandler(handler)
        for _ in range(2):
            logging.error("x")
            logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False}})
            assert [type(one).__name__ for one in logging._handlerList] in ([], ["_Listed"])
        logging.error("x")
        kept = [logging._handlerList[0]]  # it lives on, as in a copy of the list
        {end}
        gc.collect()
        assert len(logging._handlerList) == {0 if end else 1}
        gc.keep = kept, logging._handlerList, [*logging._handlerList]
        """
    )
    assert (done.returncode, done.stderr) == (DONE, "")


@pytest.fixture
def refusing() -> Iterator[str]:
    """Return the URL of a port without a listener."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, so that no other process gets it, but not listening
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


@pytest.mark.parametrize(
    "server", few(["refuses", "never answers"], "never answers", mark=pytest.mark.thorough)
)
def test_a_server_that_is_gone_holds_up_no_end(
    emulator: Emulator, refusing: str, server: str
) -> None:
    """Every end takes at most shutdown_timeout and a second, and drops are reported."""
    if server == "never answers":
        emulator.fault("hang")
    url = emulator.url if server == "never answers" else refusing
    with ThreadPoolExecutor(4) as pool:  # they wait for most of their time
        ended = dict(zip(ENDS, pool.map(lambda end: Ended(end, url), ENDS), strict=True))
    for end in ENDS:
        for _ in range(3):  # measured again, alone: other work may have held it up
            if ended[end].seconds >= MOST_SECONDS:
                ended[end] = Ended(end, url)
    emulator.clear_faults()
    for end, one in ended.items():
        assert one.status == one.wanted, (end, one.output)
        assert one.seconds < MOST_SECONDS, (end, one.seconds, one.output)
        assert "log entries (shutdown)" in one.output, (end, one.output)
    print({end: round(one.seconds, 2) for end, one in ended.items()})  # noqa: T201 - with -s


LATE = {
    "an atexit callback registered before ours": (
        "import atexit, logging\natexit.register(lambda: logging.info('late'))\n",
        "",
    ),
    "an atexit callback registered after ours": (
        "",
        "import atexit; atexit.register(lambda: logging.info('late'))",
    ),
    "a non-daemon thread": (
        "",
        (
            "threading.Thread(target=lambda: (threading.main_thread().join(), "
            "logging.info('late'))).start()"
        ),
    ),
    "a daemon thread, before the hooks": (
        "",
        (
            "t = threading.Thread(target=lambda: logging.info('late'), daemon=True)\n"
            "t.start(); t.join()"
        ),
    ),
    "an exit callback of the threading module": (
        "",
        "threading._register_atexit(logging.info, 'late')",
    ),
}


@pytest.mark.parametrize("late", few(LATE, *list(LATE)[::2], mark=pytest.mark.thorough))
def test_what_is_logged_while_the_interpreter_comes_down(emulator: Emulator, late: str) -> None:
    """From 3.12 on no thread can be started then; the record is delivered all the same, once."""
    before, after = LATE[late]
    setup = SETUP.format(url=emulator.url, latency=60, timeout=SHUTDOWN_SECONDS)
    done = run_python(f"{before}{setup}\n{after}", 60)
    assert done.returncode == DONE, done.stderr
    texts = [entry["textPayload"] for entry in emulator.entries()]
    assert texts == ["first", "late"], done.stderr
    assert not done.stderr


def test_what_a_finalizer_logs_when_modules_are_taken_down(emulator: Emulator) -> None:
    """No thread runs then, urllib3 cannot import: the record goes to the last resort at once."""
    setup = SETUP.format(url=emulator.url, latency=60, timeout=SHUTDOWN_SECONDS)
    done = run_python(
        setup.replace('last_resort="none"', 'last_resort="stderr"')
        + "class Last:\n    def __del__(self): logging.getLogger().info('late')\nlast = Last()",
        60,
    )
    assert done.returncode == DONE, done.stderr
    assert [entry["textPayload"] for entry in emulator.entries()] == ["first"]
    entry, line = done.stderr.splitlines()
    assert json.loads(entry)["textPayload"] == "late"
    assert "wrote 1 undelivered log entries to stderr (closed); send the lines by:" in line


def test_the_hooks_are_registered_once_in_a_process(emulator: Emulator) -> None:
    """However many handlers log, before and after a fork, each hook has one callback of ours."""
    done = run_python(
        SETUP.format(url=emulator.url, latency=0.01, timeout=SHUTDOWN_SECONDS)
        + """
def ours():
    return atexit._ncallbacks(), len(threading._threading_atexits)

before = ours()
for _ in range(3):
    other = forklog.CloudLoggingHandler(endpoint=handler._options.endpoint, project="p")
    other.handle(logging.makeLogRecord({"msg": "x"}))
    other.close()
assert ours() == before, (before, ours())
child = os.fork()
if not child:
    before = ours()  # what others, such as coverage, have registered at the fork is not ours
    logging.info("child")
    assert ours() == before, (before, ours())
    sys.exit(DONE)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
""",
        60,
    )
    assert done.returncode == DONE, done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_at_risk_where_no_hook_runs(
    emulator: Emulator, tmp_path: Path, number: signal.Signals
) -> None:
    """Killed while it logs, a process loses at most the records of the last max_latency."""
    latency = 0.2
    ledger = tmp_path / "ledger"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            SETUP.format(url=emulator.url, latency=latency, timeout=5)
            + f"""
file = open({str(ledger)!r}, "w", buffering=1)
for number in range(10**6):
    logging.info("n%d", number)
    print(time.time(), f"n{{number}}", file=file)
    time.sleep(0.002)
""",
        ],
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    try:
        emulator.wait_for(lambda entries: len(entries) > 200, 60)
        time.sleep(latency * 0.8)  # what has just arrived was a batch; the next one is due soon
    finally:
        process.send_signal(number)
        process.wait(10)
    lines = [line.split() for line in ledger.read_text().splitlines() if line.count(" ")]
    logged = {name: float(at) for at, name in lines}
    ended = max(logged.values())
    arrived = {entry["textPayload"] for entry in emulator.entries()}
    lost = {name: ended - at for name, at in logged.items() if name not in arrived}
    print(json.dumps([len(logged), len(lost), max(lost.values(), default=0.0)]))  # noqa: T201 - with -s
    # A pass that waits for the processor on a busy machine comes on top of the latency.
    assert max(lost.values(), default=0.0) < latency + 0.8


@pytest.mark.parametrize("flush", ["", "handler.flush()"], ids=["as it is", "flushed"])
def test_exec_loses_what_no_flush_has_delivered(emulator: Emulator, flush: str) -> None:
    """No hook runs before ``os.exec*``; a flush before it delivers, and the program has no thread.

    The class of faults: an end that Python cannot see.
    """
    setup = SETUP.format(url=emulator.url, latency=60, timeout=SHUTDOWN_SECONDS)
    setup = setup.replace("flush(0.1)", "flush()")
    program = f"import os; assert len(os.listdir('/proc/self/task')) == 1; os._exit({DONE})"
    call = f"os.execv(sys.executable, [sys.executable, '-S', '-c', {program!r}])"
    done = run_python(f"{setup}\nlogging.info('last')\n{flush}\n{call}", is_covered=False)
    assert done.returncode == DONE, done.stderr
    texts = [entry["textPayload"] for entry in emulator.entries()]
    assert texts == (["first", "last"] if flush else ["first"])
