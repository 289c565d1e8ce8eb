"""A child that a thread has forked: it ends with that thread, although no exit hook runs there."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import check_python

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import forklog, logging, os, signal, sys, threading, time
from forklog.testing import FakeTransport, Hang

log = logging.getLogger("forking-thread")
log.setLevel(logging.INFO)
transport = FakeTransport()
handler = forklog.CloudLoggingHandler(
    transport=transport, max_latency=MAX_LATENCY, shutdown_timeout=1, last_resort=LOST)
log.addHandler(handler)
log.info("parent")
assert handler.flush(10)
children = []

def end():
    BODY

def target():
    child = os.fork()
    if child:
        children.append(child)
    else:
        end()

START
deadline = time.monotonic() + 20
while not os.waitpid(children[0], os.WNOHANG)[0]:
    if time.monotonic() > deadline:
        os.kill(children[0], signal.SIGUSR1)
        time.sleep(0.5)
        os.kill(children[0], signal.SIGKILL)
        sys.exit("the child does not end")
    time.sleep(0.01)
texts = [e["textPayload"] for e in transport.entries]
assert sorted(texts) == sorted(WANTED), texts
"""

_THREAD = "thread = threading.Thread(target=target); thread.start(); thread.join()"
_BARE = "import _thread; _thread.start_new_thread(target, ())\nwhile not children: time.sleep(0.01)"
_STARTS = {"threading": _THREAD, "bare": _BARE}
_LATER = "lambda: (time.sleep(0.5), log.info('last'))"
_OTHER = f"log.info('first'); threading.Thread(target={_LATER}).start()"
_BODIES = {
    "returns": ("log.info('last')", ["last"]),
    "sys.exit": ("log.info('last'); sys.exit(3)", ["last"]),
    "logs nothing": ("pass", []),
    "another thread goes on": (_OTHER, ["first", "last"]),
}


def _program(start: str, body: str, lost: object, wanted: list[str], latency: float) -> str:
    given = {"START": start, "BODY": body, "LOST": repr(str(lost)), "MAX_LATENCY": str(latency)}
    program = _PROGRAM
    for name, value in {**given, "WANTED": str(["parent", *wanted])}.items():
        program = program.replace(name, value)
    return program


@pytest.mark.parametrize(
    ("start", "body"),
    few(
        itertools.product(_STARTS, _BODIES),
        *zip([*_STARTS] * 2, _BODIES, strict=True),
        mark=pytest.mark.thorough,
    ),
)
def test_the_child_delivers_and_ends(start: str, body: str) -> None:
    """With its forking thread the child ends, as with a console handler; its records arrive.

    Class of fault: a process that ends without a hook while our own thread keeps it alive;
    siblings: `test_the_child_ends_in_an_outage`.
    """
    text, wanted = _BODIES[body]
    latency = 0.1 if body == "another thread goes on" else 60
    check_python(_program(_STARTS[start], text, "none", wanted, latency), 60, is_covered=False)


@pytest.mark.parametrize("other", [False, True])
def test_the_child_ends_in_an_outage(tmp_path: Path, other: bool) -> None:  # noqa: FBT001
    """With a server that hangs the child ends within its timeout; the last resort has the record.

    Class of fault: an end that waits for as long as the outage lasts; siblings:
    `test_a_server_that_is_gone_holds_up_no_end`, `test_a_dead_server_holds_up_no_process`,
    `test_a_metadata_server_that_is_gone_holds_no_process`,
    `test_an_exit_does_not_wait_for_a_token`.
    """
    lost = tmp_path / "lost"
    fault = "Fail(503, times=10**6)" if other else "Hang(times=99)"
    body = f"transport.then({fault}); log.info('last')"
    if other:
        body += "; threading.Thread(target=time.sleep, args=(0.5,)).start()"
    program = _program(_THREAD, body, lost, [], 0.1).replace("import FakeT", "import Fail, FakeT")
    check_python(program, 60, is_covered=False)
    assert [json.loads(line)["textPayload"] for line in lost.read_text().splitlines()] == ["last"]
