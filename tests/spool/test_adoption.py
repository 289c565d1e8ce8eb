"""What adopting may do to its process: nothing that the application or another handler notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import check_python
from spool_script import SETUP

if TYPE_CHECKING:
    from pathlib import Path


def _check(folder: Path, body: str, *, is_covered: bool = False) -> str:
    whole = SETUP.format(folder=str(folder)) + body
    return check_python(whole, 60, is_covered=is_covered).stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "made" / "spool"


_NO_DESCRIPTOR = """
import resource
def used():
    return max(map(int, os.listdir("/proc/self/fd"))) + 1

def without_descriptors(call):
    '''Call where no descriptor is free.'''
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used() + 3, before[1]))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    try:
        return call()
    finally:
        for file in taken:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
"""


def test_a_log_call_at_the_limit_of_descriptors(folder: Path) -> None:
    """Without threads the logging thread adopts: an error of that is no error of the call's."""
    stderr = _check(
        folder,
        _NO_DESCRIPTOR
        + """
sys.modules["uwsgi"] = type(sys)("uwsgi")  # a server without threads
transport = FakeTransport()
logger, handler = log_with(transport)
handler._gate.product._host.may_run_threads = lambda: False
logger.error("one")
assert handler.stats().state == "inline", handler.stats()
time.sleep(1.05)  # the next look at the folder is due by then
without_descriptors(lambda: logger.error("two"))
killed(lambda: log_with(FakeTransport(Fail()), shutdown_timeout=0.1)[0].info("three"))
def go_on():
    logger.error("four")
    return "three" in texts(transport)
wait(go_on, "what the dead process left")
assert {"one", "two"} <= set(texts(transport))
""",
    )
    assert "cannot read the spool" in stderr


def test_a_flush_thread_outlives_closed_descriptors(folder: Path) -> None:
    """A daemon closes all of them; the look that is still due ends no thread."""
    stderr = _check(
        folder,
        """
transport = FakeTransport()
logger, handler = log_with(transport)
logger.info("one")
assert handler.flush(10)
os.close(handler._gate.product.spooler._owner.folder.descriptor)
adopter = handler._gate.product.spooler._adopting.adopter
wait(lambda: adopter._scan_at is None, "the trailing look")
assert handler.stats().state == "running", handler.stats()
logger.info("two")
assert handler.flush(10)
assert texts(transport) == ["one", "two"]
""",
    )
    assert "ended by" not in stderr


def test_an_error_at_the_exit_is_of_one_handler(folder: Path) -> None:
    """The other handlers have their whole time to deliver."""
    stderr = _check(
        folder,
        """
from forklog.process import exit_hooks
class Slow(FakeTransport):
    def open(self):
        connection = super().open()
        send = connection.send
        def slowly(entries, timeout):
            time.sleep(0.3)
            return send(entries, timeout)
        connection.send = slowly
        return connection

one, first = log_with(FakeTransport())
slow = Slow()
other, second = log_with(slow, spool=None, last_resort="stderr")
one.info("x")
assert first.flush(10)
pipeline = first._gate.product
def fail(deadline):
    return {}["a bug of forklog's"]
fail = type(fail)(fail.__code__, {"__name__": "forklog.bug"})
pipeline.worker.orphans.adopt_last = fail
for number in range(3):
    other.info("%d", number)
exit_hooks.flush_at_exit([pipeline, second._gate.product])
assert texts(slow) == ["0", "1", "2"], second.stats()
assert not second.stats().diverted
""",
        is_covered=True,
    )
    assert '"textPayload"' not in stderr


def test_two_handlers_adopt_each_orphan_once(folder: Path) -> None:
    """Two handlers of one process with one spool: what is recovered is counted once."""
    _check(
        folder,
        """
for number in range(12):
    killed(lambda: log_with(FakeTransport(Fail()), shutdown_timeout=0.1)[0].info("%d", number))
one, two = FakeTransport(), FakeTransport()
pairs = [log_with(one), log_with(two)]
for logger, handler in pairs:
    logger.info("own")
wait(lambda: not [name for name in heads() if name.endswith("-00000000.head")]
     and len(heads()) == 2, "all orphans")
got = [text for text in texts(one) + texts(two) if text != "own"]
assert sorted(got, key=int) == [str(number) for number in range(12)], got
assert sum(handler.stats().recovered for _, handler in pairs) == 12
for _, handler in pairs:
    handler.close()
""",
    )


def test_an_adopter_that_is_replaced_lets_go(folder: Path) -> None:
    """The files were taken, and a thread begins new ones while another one sends an orphan."""
    _check(
        folder,
        """
from forklog.delivery.buffer import Buffer
from forklog.options import Options
from forklog.spool.making import Making
from forklog.spool.spooler import ProcessSpool
from forklog.transports.base import Kind, Verdict
from forklog.transports.google.access import endpoint_of

class Lines:
    def say(self, key, text):
        return True

killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].error("left"))
options = Options(project="p", spool=FOLDER)
making = Making(options, lambda: ("p", endpoint_of(options)))
buffer, prefix = Buffer(2**20), "%019x" % 2
spool = ProcessSpool(options, making, buffer, print, Lines(), lambda: prefix, lambda: True)
assert spool.open()

def send(entries, envelope):
    spool._restart(spool._owner)
    return Verdict(Kind.RETRY)

assert spool.adopt(send) == {}
got, sums = [], {}
for _ in range(3):  # what the spool has left itself is an orphan, too
    sums = sums or spool.adopt(lambda entries, _: got.extend(entries) or Verdict(Kind.DELIVERED))
assert (sums, len(got)) == ({"delivered": 1, "refused": 0}, 1), (sums, got)
spool.leave()
""",
    )


def test_counters_go_on_where_files_are_lost(folder: Path) -> None:
    """Whoever tidies the folder makes no counter go back."""
    stderr = _check(
        folder,
        """
for number in range(3):
    killed(lambda: log_with(FakeTransport(Fail()), shutdown_timeout=0.1)[0].info("left"))
transport = FakeTransport()
logger, handler = log_with(transport)
logger.info("own")
wait(lambda: handler.stats().recovered == 3, "what dead processes left")
for name in os.listdir(FOLDER):
    os.unlink(os.path.join(FOLDER, name))
def is_begun_anew():
    logger.info("own")
    return heads()
wait(is_begun_anew, "new files")
assert handler.stats().recovered == 3, handler.stats()
""",
    )
    assert "new ones are made" in stderr


def test_a_process_that_always_logs_adopts_within_the_gap(folder: Path) -> None:
    """A quota has refused one request: for long there is a gap, and own entries wait at its end."""
    _check(
        folder,
        """
from forklog.transports.base import Kind, Quota, Verdict
killed(lambda: log_with(FakeTransport(Fail()), shutdown_timeout=0.1)[0].info("left"))
refusals = [Verdict(Kind.RETRY, "429", quota=Quota())]
class Refusing(FakeTransport):
    def open(self):
        connection = super().open()
        send = connection.send
        connection.send = lambda *given: refusals.pop() if refusals else send(*given)
        return connection
transport = Refusing()
logger, handler = log_with(transport)
def is_adopted():
    logger.info("own")
    return handler.stats().recovered
wait(is_adopted, "what the dead process left")
assert handler.stats().request_gap > 0 and not refusals, handler.stats()
""",
    )


def test_more_orphans_than_descriptors(folder: Path) -> None:
    """After a bad night: each orphan that waits has a descriptor, so a bounded number waits.

    And each look measures the folder once, however many orphans it finds.
    """
    _check(
        folder,
        """
import resource
for number in range(75):
    killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].error("%d", number))
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
from forklog.spool.folder import Folder
measured, names = [], Folder.names
def counted(self, *, is_measured=True):
    measured.append(is_measured)
    return names(self, is_measured=is_measured)
Folder.names = counted
transport = FakeTransport()
logger, handler = log_with(transport)
logger.error("adopter")
wait(lambda: len(texts(transport)) == 76)
wait(lambda: len(heads()) == 1)
assert handler.stats().recovered == 75
assert sum(measured) < 20, collections.Counter(measured)
handler.close()
""",
    )
