"""How uWSGI's processes end: which hooks run, what is at risk, and how long it takes."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until

from forklog.demo.processes import is_running

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 2
LATENCY_SECONDS = 0.2
SHUTDOWN_SECONDS = 5.0
FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""

MASTER = "master = true\nmodule = app\n"
GRACEFUL = "hook-master-start = unix_signal:15 gracefully_kill_them_all\n"


def test_an_idle_worker_delivers_within_max_latency(site: Site) -> None:
    """What is at risk is this young: a record is there after max_latency and a round trip."""
    site.start_uwsgi(1, MASTER)
    site.ask("records=1")  # the thread and the connection are there
    site.check_every_record_once()
    delays = []
    for _ in range(10):
        before = time.monotonic()
        site.ask("records=1")
        wait_until(lambda: not site.pending(), 10)
        delays.append(time.monotonic() - before)
    assert sorted(delays)[2] < LATENCY_SECONDS + 0.2, delays
    site.check_every_record_once()


@pytest.mark.parametrize("end", ["SIGTERM", "harakiri"])
def test_a_busy_worker_that_is_ended_by_force(site: Site, end: str) -> None:
    """It runs no hook, so only records younger than max_latency are at risk; nothing hangs."""
    lines = "harakiri = 3\n" if end == "harakiri" else ""
    server = site.start_uwsgi(1, MASTER + lines)
    first = site.ask("records=1")
    with site.in_request("records=8&hold=30"):
        site.check_every_record_once()  # while the request goes on
        if end == "harakiri":
            wait_until(lambda: set(server.workers().values()) - {first}, 30, "a new worker")
            assert site.ask("records=3") != first
            site.end_uwsgi()
        else:
            assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once()


def test_a_busy_worker_that_is_ended_gracefully(site: Site) -> None:
    """Where SIGTERM is made graceful a busy worker ends after its answer, by its hooks."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(WORKERS, MASTER.replace("module", GRACEFUL + "module"))
    site.ask_until(lambda pids: len(pids) == WORKERS)
    with site.in_request("records=3&hold=1"):
        assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once()


def test_a_busy_gevent_worker_at_sigterm(site: Site) -> None:
    """Under gevent uwsgi.atexit runs in a busy worker too, and delivers what its requests log."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(1, MASTER + "gevent = 10\ngevent-early-monkey-patch = true\n")
    site.ask("records=1")
    with site.in_request("records=3&hold=2"):
        assert server.end(signal.SIGTERM, 30)
    site.check_every_record_once()


@pytest.mark.parametrize("kind", ["all kinds", "gevent"])
def test_a_dead_server_holds_up_no_process(site: Site, kind: str) -> None:
    """Without an answer, each process gives up within shutdown_timeout and a second."""
    spool = site.folder / "spool"
    spool.mkdir()
    lines = f"spooler = {spool}\nspooler-frequency = 1\nmule = {site.mule}\n"
    if kind == "gevent":
        lines = "gevent = 10\n"
    server = site.start_uwsgi(WORKERS, MASTER.replace("app", "lives") + lines)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check_every_record_once()
    site.emulator.fault("hang", on="write")
    if kind != "gevent":
        site.ask("spool=2")
        site.ask("mule=2")
        wait_until(lambda: "spooled-" in site.written() and "muled-" in site.written(), 30)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.wait_idle()
    forked = set(server.group()) - {server.pid}
    assert len(forked) == WORKERS + (0 if kind == "gevent" else 2)
    hooked = WORKERS + (kind != "gevent")  # spoolers run no hook, see there
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    wait_until(
        lambda: server.output().count("log entries to stderr (shutdown)") >= hooked,
        60,
        "the losses",
    )
    assert time.monotonic() - began < SHUTDOWN_SECONDS + 1 + 1, "a second for a busy machine"
    wait_until(lambda: not any(map(is_running, forked)), 60, "the ends")
    # Python's own teardown took two seconds on a busy machine; a second timeout would add five.
    assert time.monotonic() - began < 2 * SHUTDOWN_SECONDS
    assert server.end(signal.SIGTERM, 20)  # the master looks once a second
