"""Our own work never re-enters the handler, however low the root logger's level is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

_SETUP = """
import http.client, logging, sys, threading, time
import forklog, requests, urllib3
http.client.HTTPConnection.debuglevel = {debug}
handler = forklog.CloudLoggingHandler(endpoint={url!r}, project="p", **{options})
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.DEBUG)
"""


def _loggers(emulator: Emulator) -> Counter[str]:
    return Counter(entry["labels"]["python_logger"] for entry in emulator.entries())


def test_requests_of_the_application_are_logged_and_ours_are_not(emulator: Emulator) -> None:
    """At DEBUG on the root, urllib3's records arrive if they are the application's."""
    done = check_python(
        _SETUP.format(url=emulator.url, debug=0, options={"max_latency": 0.001})
        + """
def use_the_network(session):
    for _ in range(20):
        session.get(handler._options.endpoint + "/nowhere")

sessions = [requests.Session() for _ in range(3)]
threads = [threading.Thread(target=use_the_network, args=(s,)) for s in sessions]
for thread in threads: thread.start()
for n in range(200):
    logging.getLogger("app").info("n%d", n)
    time.sleep(0.001)
for thread in threads: thread.join()
assert handler.flush()
stats = handler.stats()
# 200 of ours, 20 answers and one connection for each session: no more, however often we sent.
assert stats.accepted == stats.delivered == 200 + 3 * 21, stats
assert stats.requests > 3 and stats.swallowed >= stats.requests, stats
before = stats.accepted
time.sleep(0.3)
assert handler.stats().accepted == before, "the handler feeds itself"
for session in sessions: session.close()
"""
    )
    assert done.stderr == ""
    assert _loggers(emulator) == {"app": 200, "urllib3.connectionpool": 63}


def test_passes_in_the_logging_thread_are_silent_too(emulator: Emulator) -> None:
    """Where no thread can run, the requests made inside log calls are not logged either."""
    check_python(
        _SETUP.format(url=emulator.url, debug=0, options={"flush_level": "INFO"})
        + """
from forklog.delivery.worker import Worker
def no_thread(*_): raise RuntimeError("can't start new thread")
Worker.start_thread = no_thread
for n in range(20):
    logging.getLogger("app").info("n%d", n)
assert handler.flush()
stats = handler.stats()
assert stats.state == "inline", stats
assert stats.accepted == stats.delivered == 20, stats
assert stats.swallowed >= stats.requests > 0, stats
requests.get(handler._options.endpoint + "/nowhere").close()
assert handler.flush()
"""
    )
    assert _loggers(emulator) == {"app": 20, "urllib3.connectionpool": 2}


def test_own_records_that_go_round_by_a_queue_are_recognised(emulator: Emulator) -> None:
    """Behind a QueueHandler, whose listener has a thread of its own, nothing goes in a circle."""
    check_python(
        _SETUP.format(url=emulator.url, debug=0, options={"max_latency": 0.001})
        + """
import logging.handlers, queue
root = logging.getLogger()
root.removeHandler(handler)
line = queue.SimpleQueue()
root.addHandler(logging.handlers.QueueHandler(line))
listener = logging.handlers.QueueListener(line, handler)
listener.start()
for n in range(50):
    logging.getLogger("app").info("n%d", n)
    time.sleep(0.002)
time.sleep(0.3)
listener.stop()
assert handler.flush()
stats = handler.stats()
assert stats.accepted == stats.delivered == 50, stats
assert stats.swallowed > 0, stats
"""
    )
    assert _loggers(emulator) == {"app": 50}


def test_what_http_client_prints_is_no_record(emulator: Emulator) -> None:
    """What http.client prints on demand goes to stdout and nowhere else."""
    done = check_python(
        _SETUP.format(url=emulator.url, debug=1, options={})
        + """
logging.getLogger("app").info("one")
assert handler.flush()
assert handler.stats().accepted == 1, handler.stats()
"""
    )
    assert "reply: 'HTTP/1.1 200 OK" in done.stdout
    assert _loggers(emulator) == {"app": 1}


def test_credentials_that_log_are_recognised(emulator: Emulator) -> None:
    """What google-auth and its oauth2 half log while a token is fetched for us is not sent."""
    check_python(
        _SETUP.format(url=emulator.url, debug=0, options={})
        + """
import google.oauth2.credentials
from google.auth.transport.requests import Request
import forklog.transports.http as wire
class Chatty(wire.HttpConnection):
    def send(self, entries, timeout):
        logging.getLogger("google.oauth2._client").debug("refresh")
        logging.getLogger("google.auth.transport.requests").debug("refresh")
        logging.getLogger("google.auth._default").warning("no project")
        return super().send(entries, timeout)
wire.HttpConnection = Chatty
logging.getLogger("app").info("one")
assert handler.flush()
time.sleep(0.3)
stats = handler.stats()
assert stats.accepted == stats.delivered == 1, stats
assert stats.swallowed >= 3, stats
"""
    )
    assert _loggers(emulator) == {"app": 1}
