"""`carry_threads`: which threads have the request that started them, and which have none."""

from __future__ import annotations

from helpers import check_python

_BEGINNING = """
import threading
import forklog
from forklog.context.base import CURRENT, LogContext
from forklog.context.scope import begin, end

forklog.carry_threads()

def known():
    scope = CURRENT.get()
    return scope and scope.context.trace[0]

def new_thread():
    thread = threading.Thread(target=lambda: seen.append(known()))
    thread.start()
    thread.join()

seen = []
"""


def test_threads_that_serve_all_requests_carry_none() -> None:
    """Those of a pool or of a `QueueListener` live on, and get the work of later requests.

    Closes: the work of a later request had the trace of the one that had made the pool.
    """
    check_python(
        _BEGINNING
        + """
import logging, logging.handlers, queue
from multiprocessing.pool import ThreadPool

class Handler(logging.Handler):
    def emit(self, record):
        seen.append(known())

first = begin(LogContext("a" * 32), is_request=True)
pool = ThreadPool(1)
listener = logging.handlers.QueueListener(queue.Queue(), Handler())
listener.start()
new_thread()
assert (seen, known()) == (["a"], "a"), seen
end(first)
second = begin(LogContext("b" * 32), is_request=True)
pool.apply_async(lambda: seen.append(known()), callback=lambda _: seen.append(known())).get()
listener.queue.put(logging.makeLogRecord({}))
listener.stop()
pool.close()
pool.join()
assert seen == ["a", None, None, None], seen
"""
    )


def test_a_thread_that_could_not_start_forgets_the_request() -> None:
    """Where another request starts it later, it has that one.

    Closes: it ran with the request in which no thread was to be had.
    """
    check_python(
        _BEGINNING
        + """
name = "_start_joinable_thread"
if not hasattr(threading, name):
    name = "_start_new_thread"
real = getattr(threading, name)

def no_thread(*_args, **_more):
    raise RuntimeError("can't start new thread")

plain, own = (threading.Thread(target=lambda: seen.append(known())) for _ in range(2))
own.run = lambda: seen.append(("own", known()))
scope = begin(LogContext("a" * 32), is_request=True)
setattr(threading, name, no_thread)
for thread in (plain, own):
    try:
        thread.start()
    except RuntimeError:
        seen.append("none")
setattr(threading, name, real)
end(scope)
scope = begin(LogContext("b" * 32), is_request=True)
for thread in (plain, own):
    thread.start()
    thread.join()
assert seen == ["none", "none", "b", ("own", "b")], seen
"""
    )
