"""The application's code forks while forklog runs it: in ``on_drop``, or in a transport.

The child has a copy of a pass that is the parent's. It ends it, and sends nothing of the parent's.
"""

from __future__ import annotations

import pytest
from helpers import check_python

_PROGRAM = """
import forklog, logging, os, signal, sys, time
from forklog.testing import Fail, FakeTransport

children, calls = [], []

def fork():
    if os.getpid() != parent or children:
        return
    child = os.fork()
    if child:
        children.append(child)
        return
    log.info("child")
    BODY

def on_drop(entries, reason):
    calls.append(reason)
    if WHERE == "on_drop":
        fork()

class Forking(FakeTransport):
    def open(self):
        connection = super().open()
        class Connection:
            def send(self, entries, timeout):
                verdict = connection.send(entries, timeout)
                if WHERE == "send" and not children and b"dropped" in entries[0]:
                    fork()
                return verdict
            close = connection.close
        return Connection()

WHERE, parent = PLACE, os.getpid()
transport = Forking()
handler = forklog.CloudLoggingHandler(
    transport=transport, max_latency=0.01, shutdown_timeout=5, on_drop=on_drop,
    last_resort="stderr")
log = logging.getLogger("forking-callback")
log.setLevel(logging.INFO)
log.addHandler(handler)
log.info("parent")
assert handler.flush(20)
transport.then(Fail(400))
log.info("dropped")
DROP
deadline = time.monotonic() + 30
while not children or not os.waitpid(children[0], os.WNOHANG)[0]:
    if time.monotonic() > deadline:
        if children:
            os.kill(children[0], signal.SIGUSR1)
            time.sleep(0.5)
            os.kill(children[0], signal.SIGKILL)
        sys.exit("the child does not end")
    time.sleep(0.01)
log.info("later")
handler.flush(20)
assert calls == ["refused"], calls
texts = [e["textPayload"] for e in transport.entries if "textPayload" in e]
assert sorted(texts) == ["child", "later", "parent"], texts
"""

_BODIES = {
    "returns": "pass",
    "exits": "sys.exit(3)",
    "raises": "raise ValueError('of the application')",
    "flushes": "handler.flush(10); os._exit(0)",
}


@pytest.mark.parametrize("place", ["on_drop", "send"])
@pytest.mark.parametrize("body", _BODIES)
def test_a_fork_in_the_flush_thread(place: str, body: str) -> None:
    """The child delivers its record and ends, without a line on stderr; the parent goes on.

    Closes the class: the copy of the flush thread went on with the parent's batch, for ever.
    """
    program = _PROGRAM.replace("BODY", _BODIES[body]).replace("PLACE", repr(place))
    done = check_python(program.replace("DROP", ""), 60)
    lines = [line for line in done.stderr.splitlines() if "bug" in line or "cannot" in line]
    assert not lines, done.stderr


def test_a_fork_in_the_thread_that_closes() -> None:
    """A child that ``on_drop`` has forked in `close` returns from it, and logs as any child."""
    program = """
import forklog, logging, os
from forklog.testing import FakeTransport

children, down = [], [True]
class Down(FakeTransport):
    def open(self):
        if down:
            raise ConnectionError
        return super().open()

def on_drop(entries, reason):
    if os.getpid() == parent:
        children.append(os.fork())

parent = os.getpid()
transport = Down()
handler = forklog.CloudLoggingHandler(
    transport=transport, max_latency=60, on_drop=on_drop, last_resort="none",
    shutdown_timeout=0.5)
log = logging.getLogger("forking-close")
log.setLevel(logging.INFO)
log.addHandler(handler)
log.info("given up")
handler.close()
is_child = os.getpid() != parent
down.clear()
log.info("child" if is_child else "parent")
if is_child:
    os._exit(DONE if handler.flush(20) and not handler.stats().dropped else 1)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == DONE
handler.flush(20)  # False: what was dropped was not delivered
assert handler.stats().dropped == {"shutdown": 1}
texts = [e.get("textPayload") for e in transport.entries]  # and a notice of the drop
assert texts.count("child") == texts.count("parent") == 1 and "given up" not in texts, texts
"""
    check_python(program, 60)
