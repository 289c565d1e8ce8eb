"""How uWSGI replaces processes: each generation delivers, held entries come once an import."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from cases import few, further
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 2
FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""

MASTER = "master = true\nmodule = app\n"


@pytest.mark.parametrize(
    ("lines", "is_lazy", "rounds"),
    [
        ("", False, 4),
        *further(("py-call-uwsgi-fork-hooks = true\n", False, 2)),
        ("lazy-apps = true\n", True, 1),
    ],
    ids=["prefork", "hooks", "lazy-apps"],
)
def test_killed_workers_are_replaced(site: Site, lines: str, rounds: int, *, is_lazy: bool) -> None:
    """After kill -9 of all workers, time and again, the new ones deliver and adopt nothing more."""
    loads = WORKERS if is_lazy else 1
    server = site.start_uwsgi(WORKERS, MASTER + lines, loads)
    for generation in range(1, rounds + 1):
        old = site.ask_until(lambda pids: len(pids) == WORKERS)
        site.check_every_record_once(generation * loads if is_lazy else 1)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda old=old: not set(server.workers().values()) & old, 30, "new workers")
        if is_lazy:
            assert server.wait_ready(WORKERS, (generation + 1) * loads)
    site.ask_until(lambda pids: pids == set(server.workers().values()))
    site.check_every_record_once((rounds + 1) * loads if is_lazy else 1)


def test_max_requests(site: Site) -> None:
    """Workers that end after their number of requests deliver what is pending then."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(WORKERS, MASTER + "max-requests = 7\nmin-worker-lifetime = 0\n")
    first = set(server.workers().values())
    site.ask_until(lambda _: not set(server.workers().values()) & first)
    site.end_uwsgi()
    site.check_every_record_once()


def test_cheaper_workers_come_and_go(site: Site) -> None:
    """Workers that are forked under load, and sent away when idle, deliver up to their ends."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    lines = "cheaper = 1\ncheaper-overload = 1\ncheaper-step = 2\nworkers = 3\n"
    server = site.start_uwsgi(1, MASTER + lines)
    site.ask_until(lambda pids: len(pids) >= 2)
    wait_until(lambda: "cheaped" in server.output(), 30, "a worker that was sent away")
    site.ask("records=3")
    site.end_uwsgi()
    site.check_every_record_once()


@pytest.mark.parametrize("how", few(["SIGHUP", "touch-reload"], "SIGHUP"))
def test_a_reload(site: Site, how: str) -> None:
    """Idle and busy workers of the old image deliver by their exits, those of the new one too."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    touched = site.folder / "touched"
    touched.touch()
    server = site.start_uwsgi(WORKERS, MASTER + f"touch-reload = {touched}\n")
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    with site.in_request("records=3&hold=1"):
        if how == "SIGHUP":
            os.kill(server.pid, signal.SIGHUP)
        else:
            os.utime(touched, (1, time.time() + 10))
        wait_until(lambda: not set(server.workers().values()) & old, 40, "new workers")
    assert server.wait_ready(WORKERS, 2)
    new = site.ask_until(lambda pids: len(pids) == WORKERS)
    assert not old & new
    site.end_uwsgi()
    site.check_every_record_once(2)


@pytest.mark.long
def test_chain_reload(site: Site) -> None:
    """Workers of lazy-apps that are replaced one by one deliver, each with what its import logs."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    touched = site.folder / "touched"
    touched.touch()
    lines = MASTER + f"lazy-apps = true\ntouch-chain-reload = {touched}\n"
    server = site.start_uwsgi(WORKERS, lines, WORKERS)
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.utime(touched, (1, time.time() + 10))
    wait_until(lambda: not set(server.workers().values()) & old, 60, "new workers")
    assert server.wait_ready(WORKERS, 2 * WORKERS)
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    site.end_uwsgi()
    site.check_every_record_once(2 * WORKERS)


def test_a_master_that_was_killed(site: Site) -> None:
    """Workers whose master was killed end themselves, and deliver what is pending."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    server = site.start_uwsgi(WORKERS, MASTER)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.ask_until(lambda _: bool(site.pending()))
    site.wait_idle()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.group(), 30, "the ends of all")
    site.check_every_record_once()


@pytest.mark.parametrize(
    ("master", "children"),
    [("master = true\n", 20), *further(("", 10))],
    ids=["master", "no master"],
)
def test_children_that_workers_fork(site: Site, master: str, children: int) -> None:
    """Children that requests fork by os.fork deliver while they live."""
    site.start_uwsgi(WORKERS, master + "module = lives\n")

    def have_forked(_: set[int]) -> bool:
        return site.ledger.read_text().count("forked-") >= 3 * children

    site.ask_until(have_forked, "fork=0.6")
    site.ask("records=2")
    site.check_every_record_once()


@pytest.mark.parametrize("master", ["master = true\n", ""], ids=["master", "no master"])
def test_a_child_that_is_forked_at_import(site: Site, master: str) -> None:
    """A helper process that the application starts at its import delivers, and does not hold."""
    site.environ["LIVES_AT_IMPORT"] = "fork"
    site.start_uwsgi(WORKERS, f"{master}module = lives\n")
    site.ask("records=2")
    # Only the test waits for the child: on a busy machine the workers answer before it logs.
    wait_until(lambda: site.written().count("forked-") == 3, 20, "the records of the child")
    site.check_every_record_once()
