"""Ends of uWSGI's processes that an option, a request or an order to the master brings about.

The class of faults: an end that was never tried. Each runs with a `max_latency` that outlives the
test, so that what a process has pending can only arrive by a hook at its end.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import urllib.error
from typing import TYPE_CHECKING

import pytest
from cases import few, further
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

    from forklog.demo.server import Server

FAR_AWAY = "60"
MASTER = "master = true\nmodule = uwsgi_ends\n"
BROKEN = (urllib.error.URLError, http.client.HTTPException, OSError)


def loads_of(site: Site) -> int:
    """Return how often the application was imported."""
    assert site.server is not None
    return site.server.output().count(" ready in ")


def ask_for_an_end(site: Site, query: str) -> None:
    """Send a request whose answer may not come."""
    with contextlib.suppress(*BROKEN):
        site.ask(query)


@pytest.mark.parametrize(
    ("lines", "query"),
    [
        ("max-worker-lifetime = 1\nmin-worker-lifetime = 0\n", "records=3"),
        *further(
            ("max-worker-lifetime = 1\nmin-worker-lifetime = 0\nthreads = 2\n", "records=3"),
            ("reload-on-rss = 1\nmin-worker-lifetime = 0\n", "records=3"),
            ("reload-on-as = 1\nmin-worker-lifetime = 0\n", "records=3"),
            ("worker-reload-mercy = 2\n", "order=reload"),
        ),
        ("", "exit=3"),
        ("", "order=reload"),
        ("harakiri = 1\nharakiri-graceful-timeout = 3\n", "hold=2"),
    ],
)
def test_a_worker_that_is_replaced(site: Site, lines: str, query: str) -> None:
    """It delivers by its hooks what it has pending."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(1, MASTER + lines)
    first = set(server.workers().values())
    site.ask("records=1")
    ask_for_an_end(site, query)
    wait_until(lambda: _is_replaced(site, server, first, query), 30, "a new worker")
    site.ask("records=3")
    site.end_uwsgi()
    site.check_every_record_once(loads_of(site))


def _is_replaced(site: Site, server: Server, first: set[int], query: str) -> bool:
    """Tell whether the worker is another one; asks again, as uWSGI looks after each request."""
    if not first & set(server.workers().values()):
        return True
    if query.startswith("records"):
        ask_for_an_end(site, query)
    return False


def test_sys_exit_in_a_request_of_a_worker_with_threads(site: Site) -> None:
    """Where the second thread calls it, uWSGI's worker never ends; its records arrive all the same.

    The interpreter waits for its main thread, which waits for a request; so it does without
    forklog. No hook runs, and the flush thread delivers after `max_latency`.
    """
    server = site.start_uwsgi(1, MASTER + "threads = 2\n")
    askers = [threading.Thread(target=ask_for_an_end, args=(site, "exit=3")) for _ in range(2)]
    for asker in askers:
        asker.start()
    wait_until(lambda: "request-" in site.written(), 20)
    site.check_every_record_once()
    server.kill()
    for asker in askers:
        asker.join()


@pytest.mark.parametrize("lines", ["idle = 1\ndie-on-idle = true\n", "idle = 1\n"])
def test_workers_that_an_idle_server_ends(site: Site, lines: str) -> None:
    """They deliver what they have pending."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(1, MASTER + lines)
    site.ask("records=3")
    wait_until(lambda: len(server.group()) <= ("die" not in lines), 30, "the ends of the workers")
    site.check_every_record_once()


@pytest.mark.parametrize("order", few(["q", "Q", "r", "R", "c"], "q", "r", "c"))
def test_orders_to_the_master(site: Site, order: str) -> None:
    """Idle workers deliver, whatever ends or replaces them."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    fifo = site.folder / "fifo"
    lines = f"master-fifo = {fifo}\n" + "lazy-apps = true\n" * (order == "c")
    server = site.start_uwsgi(1, MASTER + lines)
    first = set(server.workers().values())
    site.ask("records=3")
    site.wait_idle()
    fifo.write_text(order)
    if order in "qQ":
        wait_until(server.has_ended, 30, "the end")
    else:
        wait_until(lambda: not first & set(server.workers().values()), 40, "a new worker")
        site.ask("records=3")
        site.end_uwsgi()
    site.check_every_record_once(loads_of(site))
