"""uWSGI's many ways to start, replace and end processes, beyond the four modes."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until

from forklog.demo.processes import is_running

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 3
LATENCY_SECONDS = 0.2
SHUTDOWN_SECONDS = 5.0
MASTER = "master = true\nmodule = app\n"
LIVES = "module = lives\n"


def test_an_idle_worker_delivers_within_max_latency(site: Site) -> None:
    """A record is visible within max_latency and a round trip; no further request is needed."""
    site.start_uwsgi(1, MASTER)
    site.ask("records=1")  # the thread and the connection are there
    site.check_every_record_once()
    delays = []
    for _ in range(10):
        before = time.monotonic()
        seen = len(site.emulator.entries())
        site.ask("records=1")
        wait_until(lambda seen=seen: len(site.emulator.entries()) > seen, 10)
        delays.append(time.monotonic() - before)
    assert sorted(delays)[5] < LATENCY_SECONDS + 0.15, delays
    site.check_every_record_once()


@pytest.mark.parametrize(
    ("lines", "loads"),
    [(MASTER, 1), (MASTER + "py-call-uwsgi-fork-hooks = true\n", 1), (MASTER + "lazy = true\n", 2)],
    ids=["prefork", "hooks", "lazy"],
)
def test_killed_workers_are_replaced(site: Site, lines: str, loads: int) -> None:
    """After kill -9 of every worker the new ones deliver; boot records come once an import."""
    server = site.start_uwsgi(WORKERS, lines, WORKERS if loads > 1 else 1)
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check_every_record_once(WORKERS if loads > 1 else 1)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(server.workers().values()) & old, 20, "new workers")
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    site.check_every_record_once(2 * WORKERS if loads > 1 else 1)


def test_cheaper_workers_come_and_go(site: Site) -> None:
    """Workers that are forked under load, and ended when idle, deliver."""
    lines = "cheaper = 1\ncheaper-overload = 1\ncheaper-step = 2\nworkers = 4\n"
    server = site.start_uwsgi(1, MASTER + lines)
    site.ask_until(lambda pids: len(pids) >= 3)
    wait_until(lambda: "cheaped" in server.output(), 30, "a worker that was sent away")
    site.ask("records=3")
    site.check_every_record_once()
    assert server.end(signal.SIGTERM, 20)


def test_touch_reload(site: Site) -> None:
    """Touching the file replaces master's image and workers; all deliver, once for each import."""
    touched = site.folder / "touched"
    touched.touch()
    server = site.start_uwsgi(WORKERS, MASTER + f"touch-reload = {touched}\n")
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.utime(touched, (1, time.time() + 10))
    wait_until(lambda: not set(server.workers().values()) & old, 30, "new workers")
    assert server.wait_ready(WORKERS, 2)
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    site.check_every_record_once(2)


def test_chain_reload_of_lazy_apps(site: Site) -> None:
    """Workers of lazy-apps that are replaced one by one deliver, each with its own boot records."""
    touched = site.folder / "touched"
    touched.touch()
    lines = MASTER + f"lazy-apps = true\ntouch-chain-reload = {touched}\n"
    server = site.start_uwsgi(WORKERS, lines, WORKERS)
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.utime(touched, (1, time.time() + 10))
    wait_until(lambda: not set(server.workers().values()) & old, 40, "new workers")
    assert server.wait_ready(WORKERS, 2 * WORKERS)
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    site.check_every_record_once(2 * WORKERS)


def test_spoolers_deliver(site: Site) -> None:
    """What jobs log in the spooler arrives once, with what the workers log."""
    spool = site.folder / "spool"
    spool.mkdir()
    server = site.start_uwsgi(WORKERS, f"master = true\n{LIVES}spooler = {spool}\n")
    for _ in range(10):
        site.ask("spool=2")
    site.ask("records=2")
    wait_until(lambda: site.ledger.read_text().count("spooled-") == 20, 20, "spooled jobs")
    site.check_every_record_once()
    assert server.end(signal.SIGTERM, 20)


@pytest.mark.parametrize("master", ["master = true\n", ""], ids=["master", "no master"])
def test_children_that_workers_fork(site: Site, master: str) -> None:
    """A child that a request forks by os.fork delivers while it lives."""
    site.start_uwsgi(WORKERS, master + LIVES)

    def have_forked(_: set[int]) -> bool:
        return site.ledger.read_text().count("forked-") >= 3 * 20

    site.ask_until(have_forked, "fork=0.4")
    site.ask("records=2")
    site.check_every_record_once()


@pytest.mark.parametrize("master", ["master = true\n", ""], ids=["master", "no master"])
def test_a_child_that_is_forked_at_import(site: Site, master: str) -> None:
    """A helper process that the application starts at its import delivers, and does not hold."""
    site.environ["LIVES_AT_IMPORT"] = "fork"
    site.start_uwsgi(WORKERS, master + LIVES)
    site.ask("records=2")
    site.check_every_record_once()


def test_harakiri(site: Site) -> None:
    """A worker killed in a request that took too long has delivered what it had logged."""
    server = site.start_uwsgi(1, MASTER + "harakiri = 2\n")
    first = site.ask("records=1")
    site.ask_in_vain("records=8&hold=30")
    wait_until(lambda: set(server.workers().values()) - {first}, 20, "a new worker")
    assert site.ask("records=2") != first
    site.check_every_record_once()


def test_a_worker_that_is_busy_at_sigterm(site: Site) -> None:
    """It runs no hook, so only records younger than max_latency are at risk; nothing hangs."""
    server = site.start_uwsgi(1, MASTER)
    site.ask("records=1")
    address = server.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), 10) as client:
        client.sendall(b"GET /?records=8&hold=2 HTTP/1.0\r\n\r\n")
        wait_until(lambda: site.ledger.read_text().count("request-") == 9, 10, "the records")
        site.check_every_record_once()  # while the request goes on
        assert server.end(signal.SIGTERM, 20)
    site.check_every_record_once()


def test_a_dead_server_holds_up_nobody(site: Site) -> None:
    """With nobody answering, all workers end within shutdown_timeout and a second of SIGTERM."""
    server = site.start_uwsgi(WORKERS, MASTER)
    workers = site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check_every_record_once()
    site.emulator.fault("hang", on="write")
    site.ask_until(lambda pids: len(pids) == WORKERS)
    os.kill(server.pid, signal.SIGTERM)
    wait_until(lambda: not any(map(is_running, workers)), SHUTDOWN_SECONDS + 1, "the ends")
    assert server.end(signal.SIGTERM, 5)  # the master looks once a second


def test_two_applications_in_one_interpreter(site: Site) -> None:
    """Two mounted applications that share an interpreter and a handler deliver."""
    lines = "master = true\nmanage-script-name = true\nsingle-interpreter = true\n"
    mounts = "mount = /=app:application\nmount = /b=lives:application\n"
    site.start_uwsgi(WORKERS, lines + mounts)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check_every_record_once()
