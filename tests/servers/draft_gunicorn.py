"""Real gunicorn servers, with and without preload, in all kinds of workers and ends."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 3
KINDS = {"sync": (), "gthread": ("--threads", "4"), "gevent": ()}


def _options(kind: str, *, is_preloaded: bool) -> tuple[str, ...]:
    preload = ("--preload",) if is_preloaded else ()
    return ("--workers", str(WORKERS), "--worker-class", kind, *KINDS[kind], *preload)


@pytest.mark.parametrize("is_preloaded", [False, True], ids=["", "preload"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_record_of_every_worker_arrives_once(
    site: Site, kind: str, *, is_preloaded: bool
) -> None:
    """All workers answer, all records arrive once, and TERM delivers what is pending."""
    server = site.start_gunicorn(*_options(kind, is_preloaded=is_preloaded))
    site.ask_until(lambda pids: len(pids) == WORKERS)
    for _ in range(2 * WORKERS):
        site.ask("records=3")
    assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once(loads=1 if is_preloaded else WORKERS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
def test_a_quick_end_delivers_as_well(site: Site, number: signal.Signals) -> None:
    """INT and QUIT end the workers at once; what idle ones have pending is delivered."""
    server = site.start_gunicorn(*_options("sync", is_preloaded=True))
    site.ask_until(lambda pids: len(pids) == WORKERS)
    assert server.end(number, 20)
    site.check_every_record_once()


@pytest.mark.parametrize("is_preloaded", [False, True], ids=["", "preload"])
def test_hup_replaces_the_workers(site: Site, *, is_preloaded: bool) -> None:
    """Old and new workers deliver; without preload the new ones import the application anew."""
    server = site.start_gunicorn(*_options("sync", is_preloaded=is_preloaded))
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(server.workers()) == 2 * WORKERS, 20, "new workers")
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once(loads=1 if is_preloaded else 2 * WORKERS)


def test_max_requests(site: Site) -> None:
    """Workers that end after some requests have delivered, and so do their successors."""
    options = _options("sync", is_preloaded=True)
    server = site.start_gunicorn(*options, "--max-requests", "5")
    site.ask_until(lambda pids: len(pids) >= 4 * WORKERS)
    assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once()


def test_killed_workers_are_replaced(site: Site) -> None:
    """After kill -9 of every worker the new ones deliver; the boot records do not come twice."""
    server = site.start_gunicorn(*_options("sync", is_preloaded=True))
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check_every_record_once()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(server.workers()) == 2 * WORKERS, 20, "new workers")
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    site.check_every_record_once()


def test_a_worker_that_is_killed_for_its_timeout(site: Site) -> None:
    """What it logged earlier than max_latency before the kill has arrived, once."""
    server = site.start_gunicorn("--workers", "1", "--timeout", "2", "--preload")
    site.ask_in_vain("records=8&hold=30")
    wait_until(lambda: len(server.workers()) == 2, 20, "a new worker")
    site.ask("records=8")
    site.check_every_record_once()
