"""What a signal handler raises while the process ends: no wait, no traceback, nothing lost."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

import pytest
from cases import few, further
from helpers import DONE, run_python

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import atexit, os, logging, signal, sys, threading, time
{before}
import forklog
from forklog.testing import FakeTransport, Fail, Hang

signal.signal(signal.SIGINT, signal.default_int_handler)
log = logging.getLogger("interrupted")
log.setLevel(logging.INFO)
transport = FakeTransport({outcome})
log.addHandler(forklog.CloudLoggingHandler(
    transport=transport, max_latency=60, shutdown_timeout=30, last_resort={lost!r}))

def press():
    for _ in range({presses}):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

def begin():
    threading.Thread(target=press, daemon=True).start()
    started[:] = [time.monotonic()]

started = []
{body}
"""

_ENDS = {
    "a thread sends": """
for n in range(5):
    log.info("n%d", n)
begin()
""",
    "the hook sends": """
begin()
atexit.register(lambda: [log.info("n%d", n) for n in range(5)])
""",
    "logging.shutdown's call": """
begin()
atexit.unregister(logging.shutdown)
atexit.register(logging.shutdown)
atexit.register(lambda: [log.info("n%d", n) for n in range(5)])
""",
    "a SIGTERM handler that exits": """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(DONE))
signal.SIGINT = signal.SIGTERM
for n in range(5):
    log.info("n%d", n)
begin()
""",
}


@pytest.mark.parametrize(
    ("end", "presses"),
    few(
        itertools.product(_ENDS, [1, 2, 3]),
        *[(end, 1 + number % 3) for number, end in enumerate(_ENDS)],
        mark=pytest.mark.thorough,
    ),
)
def test_ctrl_c_while_the_exit_waits(tmp_path: Path, end: str, presses: int) -> None:
    """The first press hands everything to the last resort at once; further ones change nothing.

    Class of fault: an exception between two steps of the end leaves entries in no place; siblings:
    `test_an_exit`, `test_a_close`, `test_giving_up`,
    `test_a_close_that_ctrl_c_interrupts_and_another_one`.
    """
    lost = tmp_path / "lost"
    program = _PROGRAM.format(
        before="", outcome="Hang(times=99)", presses=presses, lost=str(lost), body=_ENDS[end]
    )
    start = time.monotonic()
    done = run_python(program, 60)
    assert time.monotonic() - start < 20, "the timeout is 30 s"
    texts = sorted(json.loads(line)["textPayload"] for line in lost.read_text().splitlines())
    assert texts == [f"n{n}" for n in range(5)], done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == DONE, done.stderr


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        ("log.info('first')", "Fail(503, times=99)"),
        ("atexit.register(log.info, 'first')", ""),
        *further(
            ("log.info('first')", ""),
            ("atexit.register(log.info, 'first')", "Fail(503, times=99)"),
            mark=pytest.mark.thorough,
        ),
    ],
)
def test_a_record_after_logging_shutdown(tmp_path: Path, first: str, outcome: str) -> None:
    """A callback that runs after `logging.shutdown` logs: the record is sent or in the file.

    Class of fault: a pipeline that is built after the last hook, which no hook waits for; siblings:
    `test_late_records_in_an_outage_hold_the_exit_up_for_a_moment`,
    `test_after_the_last_hook_the_logging_thread_sends`,
    `test_what_is_logged_while_the_interpreter_comes_down`,
    `test_what_a_finalizer_logs_when_modules_are_taken_down`.
    """
    lost = tmp_path / "lost"
    before = """
late = lambda text: logging.getLogger("interrupted").info(text)
atexit._clear()
atexit.register(lambda: print([e["textPayload"] for e in transport.entries]))
atexit.register(lambda: late("later"))
atexit.register(lambda: late("late"))
atexit.register(logging.shutdown)
"""
    program = _PROGRAM.format(before=before, outcome=outcome, presses=0, lost=str(lost), body=first)
    done = run_python(program.replace("shutdown_timeout=30", "shutdown_timeout=1"), 60)
    assert done.returncode == DONE, done.stderr
    lines = lost.read_text().splitlines() if lost.exists() else []
    texts = [json.loads(line)["textPayload"] for line in lines]
    sent = done.stdout.strip()
    assert (texts, sent) == (
        (["first", "late", "later"], "[]") if outcome else ([], "['first', 'late', 'later']")
    ), done.stderr
