"""uWSGI workers that an exception of a request ends: exit in C, in a busy worker, without a hook.

The class of faults: a server that ends a process where nothing of Python's runs but what prints the
exception. `sys.excepthook` is the last of our code that such a worker can run.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cases import further
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

    from forklog.demo.server import Server

WORKERS = 2
ROUNDS = 4
SHUTDOWN_SECONDS = 5.0
FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""
MASTER = "master = true\nmodule = uwsgi_ends\n"
RAISING = "raise=RuntimeError"
BROKEN = (urllib.error.HTTPError, urllib.error.URLError, http.client.HTTPException, OSError)


def pids_of_workers(server: Server) -> set[int]:
    """Return the PIDs of all workers that were ever spawned."""
    spawned = re.findall(r"spawned uWSGI worker .*?pid: (\d+)", server.output(), re.IGNORECASE)
    return {int(pid) for pid in spawned}


def raise_in_requests(site: Site, times: int, at_once: int = WORKERS) -> None:
    """Send requests that log and raise; no answer of theirs matters."""

    def ask(_number: int) -> None:
        try:
            site.ask(RAISING)
        except BROKEN as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # Python 3.14 warns where it is left open

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(ask, range(times)))


@pytest.mark.parametrize(
    "lines",
    [
        "reload-on-exception = RuntimeError\n",
        *further(
            "reload-on-exception-type = no such order\n",  # uWSGI compares the text here, too
            "reload-on-exception-value = no such order\n",
            "reload-on-exception-repr = no such order\n",
            "reload-on-exception = true\nlazy-apps = true\n",
            "reload-on-exception = true\nthreads = 2\n",
            "reload-on-exception = true\ngevent = 10\n",
        ),
        "reload-on-exception = true\ncatch-exceptions = true\n",
    ],
    ids=lambda lines: lines.replace(" = true", "").replace("\n", " ").strip(),
)
def test_a_request_that_raises_ends_its_worker(site: Site, lines: str) -> None:
    """Every record arrives, those of the request that raised too; others follow in new workers.

    Class of fault: a server ends a process in C, and no exit hook runs; siblings:
    `test_sys_exit_in_a_request_of_a_worker_with_threads`,
    `test_a_dirty_worker_delivers_at_its_end`, `test_the_records_of_a_job_arrive_once`.
    """
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(WORKERS, MASTER + lines)
    first = set(server.workers().values())
    # What another thread of a worker logs as it ends is at risk.
    raise_in_requests(site, ROUNDS, 1 if "threads" in lines else WORKERS)
    wait_until(lambda: len(set(server.workers().values()) - first) >= WORKERS, 30, "new workers")
    site.ask("records=3")
    site.end_uwsgi()
    assert site.written().count("request-") > 3 * WORKERS, "more than one generation logged"
    site.check_every_record_once(server.output().count(" ready in "))


def test_a_dead_server_holds_up_the_end_no_longer_than_any_other(site: Site) -> None:
    """Without an answer the worker gives up within shutdown_timeout, and reports the loss."""
    server = site.start_uwsgi(1, MASTER + "reload-on-exception = true\n")
    site.ask("records=1")
    site.check_every_record_once()
    site.emulator.fault("hang", on="write")
    began = time.monotonic()
    raise_in_requests(site, 1)
    wait_until(lambda: len(pids_of_workers(server)) > 1, 30, "a new worker")
    assert time.monotonic() - began < SHUTDOWN_SECONDS + 3
    assert "wrote 3 undelivered log entries to stderr (shutdown)" in server.output()


def test_an_exception_that_ends_no_worker_waits_for_nothing(site: Site) -> None:
    """Where the option names another text, and in no request, the excepthook does not flush."""
    server = site.start_uwsgi(1, MASTER + "reload-on-exception-value = another\n")
    pid = site.ask("records=1")
    site.check_every_record_once()
    site.emulator.fault("hang", on="write")
    began = time.monotonic()
    raise_in_requests(site, 1)
    assert time.monotonic() - began < SHUTDOWN_SECONDS / 2
    assert pids_of_workers(server) == {pid}
