"""The lock of `logging`: the flush thread may need it while dictConfig waits for that thread."""

from __future__ import annotations

from helpers import check_python

BODY = """
import itertools, logging, logging.config, threading, time
import forklog
from forklog.testing import FakeTransport

asked = threading.Event()
names = itertools.count()

class Wire:
    def __init__(self, connection): self.connection = connection
    def send(self, entries, timeout):
        asked.set()
        # As urllib3 does after a level was changed; a new name always needs the lock.
        logging.getLogger(f"client.{next(names)}").debug("a request")
        return self.connection.send(entries, timeout)
    def close(self): self.connection.close()

class Transport(FakeTransport):
    def open(self): return Wire(super().open())

transport = Transport()
config = {
    "version": 1, "disable_existing_loggers": False,
    "handlers": {"cloud": {"class": "forklog.CloudLoggingHandler", "transport": transport}},
    "root": {"level": "INFO", "handlers": ["cloud"]},
}
"""


def test_a_later_configuration_delivers_at_once_what_the_one_before_has_pending() -> None:
    """DictConfig, called again with records pending, neither stalls nor loses one."""
    check_python(
        BODY
        + """
for number in range(20):
    logging.config.dictConfig(config)
    logging.info("%d", number)
before = time.monotonic()
logging.config.dictConfig(config)
assert time.monotonic() - before < 4, "it waited for its deadlines"
assert [e["textPayload"] for e in transport.entries] == [str(n) for n in range(20)]
assert len(logging._handlerList) == 1
"""
    )


def test_a_request_that_is_under_way_ends_while_a_configuration_waits() -> None:
    """The flush thread stands before the lock when dictConfig comes to wait for it."""
    check_python(
        BODY
        + """
logging.config.dictConfig(config)
for number in range(20):
    asked.clear()
    with logging._lock:
        logging.error("%d", number)
        assert asked.wait(10)  # the thread is in a request now, and wants the lock that we hold
        logging.config.dictConfig(config)
        assert logging._lock._is_owned()
    assert [e["textPayload"] for e in transport.entries] == [str(n) for n in range(number + 1)]
"""
    )
