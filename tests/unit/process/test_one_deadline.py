"""One deadline for all handlers: at the end of the process, at a new configuration, at a fork."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import further
from helpers import DONE, check_python, python_path, run_python

if TYPE_CHECKING:
    from pathlib import Path

_HANDLERS = """
import forklog, json, logging, os, sys, threading, time
from forklog.testing import FakeTransport, Hang

log = logging.getLogger("many")
log.setLevel(logging.INFO)
transports = [FakeTransport({outcome}) for _ in range(5)]
for transport in transports:
    log.addHandler(forklog.CloudLoggingHandler(
        transport=transport, last_resort={lost!r}, max_latency=60, shutdown_timeout={timeout}))
"""
# Runs last of all, as it is registered first.
_TIMED = """
import atexit, time
atexit.register(lambda: print(json.dumps(time.monotonic() - start)))
"""


def _program(lost: Path | str, outcome: str = "Hang(times=99)", timeout: float = 1.0) -> str:
    return _TIMED + _HANDLERS.format(lost=str(lost), outcome=outcome, timeout=timeout)


def _texts(path: Path) -> list[str]:
    return sorted(json.loads(line)["textPayload"] for line in path.read_text().splitlines())


@pytest.mark.parametrize("first", ["", "atexit.register(log.info, 'second')"])
def test_an_exit_with_five_handlers_takes_one_timeout(tmp_path: Path, first: str) -> None:
    """Five handlers whose server hangs share one shutdown_timeout, with a thread or without one.

    The records of all end in the file.

    Class of fault: a deadline for each handler in turn at the exit; siblings:
    `test_a_hanging_server_takes_no_time_from_a_live_one`,
    `test_late_records_in_an_outage_hold_the_exit_up_for_a_moment`,
    `test_five_handlers_wait_for_stderr_once`, `test_five_handlers_whose_on_drop_is_slow`.
    """
    lost = tmp_path / "lost"
    body = f"{first}\nif not {first!r}: log.info('second')\nstart = time.monotonic()"
    done = run_python(_program(lost) + body, 60)
    assert done.returncode == DONE, done.stderr
    assert _texts(lost) == ["second"] * 5
    assert json.loads(done.stdout) < 1.0 + 1.0 + 0.5, "the last for a busy machine"


def test_a_hanging_server_takes_no_time_from_a_live_one(tmp_path: Path) -> None:
    """Of five handlers that send inline at the exit, four hang and the fifth still delivers.

    Closes the class: the first handler uses up the deadline that all share.
    """
    lost = tmp_path / "lost"
    check = "atexit.register(lambda: print(json.dumps(len(transports[2].entries))))\n"
    program = _TIMED + check + _HANDLERS.format(lost=str(lost), outcome="Hang(times=99)", timeout=1)
    body = "atexit.register(log.info, 'last')\ntransports[2].release()\nstart = time.monotonic()"
    done = run_python(program + body, 60)
    assert done.returncode == DONE, done.stderr
    entries, seconds = map(json.loads, done.stdout.split())
    assert entries == 1, "delivered"
    assert _texts(lost) == ["last"] * 4
    assert seconds < 1.0 + 1.0 + 0.5


def test_late_records_in_an_outage_hold_the_exit_up_for_a_moment(tmp_path: Path) -> None:
    """A hundred records in callbacks after the last hook cost no timeout each.

    Closes the class: a bound for each hook or record, none for the exit as a whole.
    """
    lost = tmp_path / "lost"
    late = """
import atexit, logging
atexit.register(lambda: [logging.getLogger("many").info("late") for _ in range(100)])
"""
    done = run_python(late + _program(lost) + "log.info('first')\nstart = time.monotonic()", 60)
    assert done.returncode == DONE, done.stderr
    assert _texts(lost) == ["first"] * 5 + ["late"] * 500


@pytest.mark.parametrize("call", ["configure", "logging.shutdown", "basic"])
def test_handlers_that_are_closed_together_take_one_timeout(tmp_path: Path, call: str) -> None:
    """Whatever of `logging` closes five handlers does so within one deadline.

    Class of fault: each handler is flushed and closed in turn, with a deadline of its own;
    siblings: `test_an_exit_with_five_handlers_takes_one_timeout`,
    `test_the_number_of_handlers_does_not_prolong_a_fork`.
    """
    lost = tmp_path / "lost"
    body = """
import logging.config
configure = lambda: logging.config.dictConfig({"version": 1})
def basic():
    logging.root.handlers[:] = log.handlers
    logging.basicConfig(force=True)
log.info("before")
start = time.monotonic()
CALL()
seconds = time.monotonic() - start
assert seconds < 1.0 + 1.0 + 0.5, seconds
assert all(handler.stats().state == "closed" for handler in log.handlers)
"""
    program = _HANDLERS.format(lost=str(lost), outcome="Hang(times=99)", timeout=1.0)
    check_python(program + body.replace("CALL", call), 60)
    assert _texts(lost) == ["before"] * 5


@pytest.mark.parametrize("kind", ["full", "locked"])
def test_five_handlers_wait_for_stderr_once(kind: str) -> None:
    """A reader that has stopped, or a process that was stopped in its line, holds an exit up once.

    Closes the class: a patience for each handler's last resort, and for each line that follows it.
    The wait for the lock is cut to a second here.
    """
    reader, writer = os.pipe()
    again = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        if kind == "locked":
            fcntl.flock(again, fcntl.LOCK_EX)
        else:
            _fill(again)
        short = "from forklog.stderr import descriptor\ndescriptor._LOCK_SECONDS = 1.0\n"
        body = f"log.info('lost')\nstart = time.monotonic()\nraise SystemExit({DONE})"
        done = subprocess.run(
            [sys.executable, "-c", short + _program("stderr", timeout=0.5) + body],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdout=subprocess.PIPE,
            stderr=writer,
            timeout=60,
            check=False,
        )
    finally:
        for descriptor in (reader, writer, again):
            os.close(descriptor)
    assert done.returncode == DONE
    assert json.loads(done.stdout) < 0.5 + 1.0 + 3.0, "the last for a busy machine"


def _fill(writer: int) -> None:
    for size in (65_536, 1):
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, b"x" * size):
                pass


_SLOW = """
import forklog, json, logging, logging.config, os, sys, threading, time
from forklog.testing import FakeTransport, Hang
given = []
def on_drop(entries, reason):
    given.append(reason)
    time.sleep({seconds})
log = logging.getLogger("many")
log.setLevel(logging.INFO)
handlers = [forklog.CloudLoggingHandler(
    transport=FakeTransport(Hang(times=99)), last_resort="none", on_drop=on_drop, max_latency=60,
    shutdown_timeout=0.5) for _ in range(5)]
for handler in handlers:
    log.addHandler(handler)
def check():
    assert [h.stats().dropped for h in handlers] == [{{"shutdown": 1}}] * 5
    assert len(given) == {calls}, given
    assert seconds < 0.5 + {calls} * {seconds} + 3.0, seconds
    print("checked")
log.info("dropped")
start = time.monotonic()
"""
_AT_EXIT = """
def after():
    global seconds
    seconds = time.monotonic() - start
    check()
"""
_CONFIGURE = """
logging.config.dictConfig({'version': 1})
seconds = time.monotonic() - start
check()
"""


@pytest.mark.parametrize(
    ("end", "seconds", "calls"),
    [
        ("exit", 1.0, 1),
        ("configure", 0.0, 5),
        *further(("exit", 0.0, 5), ("configure", 1.0, 1), mark=pytest.mark.thorough),
    ],
)
def test_five_handlers_whose_on_drop_is_slow(end: str, seconds: float, calls: int) -> None:
    """No call begins once the calls of an end have taken shutdown_timeout; all is counted.

    Closes the class: a callback of the application, for each handler, after the deadline.
    """
    before = "import atexit\natexit.register(lambda: after())\n" if end == "exit" else ""
    body = _SLOW.format(seconds=seconds, calls=calls)
    body += _AT_EXIT if end == "exit" else _CONFIGURE
    done = check_python(before + body, 60)
    assert done.stdout == "checked\n"


def test_on_drop_gets_what_is_dropped_where_an_end_may_take_no_time() -> None:
    """With a shutdown_timeout of zero the callback is called once, a slow one no second time."""
    check_python(
        """
        import forklog, logging, time
        from forklog.testing import FakeTransport, Fail
        given, log = [], logging.getLogger("no time")
        def on_drop(entries, reason):
            given.append((len(entries), reason))
            time.sleep(0.01)
        for n in range(2):
            handler = forklog.CloudLoggingHandler(
                transport=FakeTransport(Fail(503, times=99)), last_resort="none", max_latency=60,
                shutdown_timeout=0, on_drop=on_drop)
            log.addHandler(handler)
            log.warning("lost")
            handler.close()
            log.removeHandler(handler)
            assert handler.stats().dropped == {"shutdown": 1}
        assert given == [(1, "shutdown")], given
        """,
        60,
    )
