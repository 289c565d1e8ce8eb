"""Real uWSGI servers with a spool whose processes are killed: each record is shown once."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import wait_until
from killed_site import APPS, PATIENCE, KilledSite
from packages import need_uwsgi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator

WORKERS = 2
KILLS = 2
RELOADS = 2
_RELOADS = "...gracefully killing workers..."
MODELS = {
    "prefork": ("", 1),
    "lazy-apps": ("lazy-apps = true\n", WORKERS),
    "gevent": ("gevent = 20\ngevent-monkey-patch = true\n", 1),
}
MORE = {
    "hooks": ("py-call-uwsgi-fork-hooks = true\n", 1),
    "threads": ("threads = 3\n", 1),
}


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[KilledSite]:
    """Return the application, to be started; its server is killed in the end."""
    need_uwsgi()
    running = KilledSite(emulator, tmp_path)
    yield running
    if running.server is not None:
        running.server.kill()


def _workers(site: KilledSite) -> dict[int, int]:
    assert site.server is not None
    return site.server.workers()


@pytest.mark.parametrize("model", few([*MODELS, *MORE], "prefork"))
def test_workers_killed_under_load(site: KilledSite, model: str) -> None:
    """Workers killed in the middle of requests lose nothing: new ones adopt, also without one."""
    lines, loads = {**MODELS, **MORE}[model]
    site.start_uwsgi(lines, WORKERS, loads)
    with site.under_load():
        for turn in range(KILLS):
            site.wait_logged(200 * (turn + 1))
            old = _workers(site)
            site.kill([old[1 + turn % WORKERS]])
            wait_until(lambda old=old: _workers(site) != old, PATIENCE, site.output())
    site.kill(list(_workers(site).values()))
    site.check()


@pytest.mark.parametrize(
    ("model", "is_killed"),
    few(
        itertools.product(["prefork", "lazy-apps"], [False, True]),
        ("prefork", True),
    ),
)
def test_reloads_under_load(site: KilledSite, model: str, *, is_killed: bool) -> None:
    """HUP while all workers are in requests, and one killed as it ends its own, lose nothing."""
    lines, loads = MODELS[model]
    server = site.start_uwsgi(lines, WORKERS, loads)
    with site.under_load("records=20&hold=0.5", clients=4):
        for turn in range(RELOADS):
            site.wait_logged(len(site.logged()) + 100)
            old = _workers(site)
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda n=turn: site.output().count(_RELOADS) > n, PATIENCE, "the reload")
            if is_killed:
                site.kill([old[1 + turn % WORKERS]])
                assert site.killed == turn + 1, "it had ended its request"
            wait_until(
                lambda old=old: (
                    _workers(site).keys() == old.keys()
                    and set(_workers(site).values()).isdisjoint(old.values())
                ),
                PATIENCE,
                site.output(),
            )
    site.check()


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_worker_that_ends_in_an_idle_server(site: KilledSite, how: str) -> None:
    """What it logged last is delivered by the worker in its place, which gets no request."""
    site.environ["KILLED_LATENCY"] = "3600"
    site.start_uwsgi(workers=1)
    site.ask("records=3")
    assert site.ask(f"records=50&end={how}") is None
    site.check()


def test_harakiri(site: KilledSite) -> None:
    """A worker that uWSGI kills for its long request loses nothing."""
    site.environ["KILLED_LATENCY"] = "3600"
    site.start_uwsgi("harakiri = 1\n", workers=1)
    site.ask("records=3")
    assert site.ask("records=50&end=hang") is None
    site.check()
    assert "HARAKIRI" in site.output()


def test_workers_that_are_busy_at_term(site: KilledSite) -> None:
    """TERM ends busy workers without any hook; the next start of the server delivers."""
    site.environ["KILLED_LATENCY"] = "3600"
    server = site.start_uwsgi()
    with site.under_load("records=20&hold=0.05", clients=4):
        site.wait_logged(100)
        os.kill(server.pid, signal.SIGTERM)
        wait_until(server.has_ended, PATIENCE, site.output())
    site.killed += WORKERS
    site.environ["KILLED_LATENCY"] = "0.2"
    site.start_uwsgi()
    site.check()


def test_a_killed_mule(site: KilledSite) -> None:
    """The mule in its place delivers what it logged last."""
    site.start_uwsgi(f"mule = {APPS}/killed_mule.py\n")
    for end in ("stay", "kill", "stay"):
        number = len(site.logged())
        site.ask(f"records=1&mule={end}")
        site.wait_logged(number + 21)
    site.check()


def test_a_killed_spooler(site: KilledSite) -> None:
    """The spooler in its place delivers what it logged last."""
    (site.folder / "jobs").mkdir()
    site.start_uwsgi(f"spooler = {site.folder}/jobs\nspooler-frequency = 1\n")
    site.ask("records=1&spool=kill")
    site.wait_logged(4 + 1 + 20)
    site.check()


def test_a_container_that_starts_again(site: KilledSite) -> None:
    """All processes are killed at once; those of the next start deliver what was left."""
    for _ in range(2):
        number = len(site.logged())
        site.start_uwsgi()
        with site.under_load():
            site.wait_logged(number + 200)
            site.kill_all()
    site.start_uwsgi()
    site.check()


def test_a_master_killed_before_it_has_workers(site: KilledSite) -> None:
    """The entries that it held are delivered by the next start, once."""
    server = site.start_uwsgi("cheap = true\n", workers=0)
    site.wait_logged(4)
    assert not site.shown()
    site.kill_all()
    server.kill()
    site.start_uwsgi()
    assert len(site.check()) == 2 * 4


def test_a_worker_killed_at_birth(site: KilledSite) -> None:
    """The entries that it had adopted are delivered by the worker in its place."""
    site.environ["KILLED_AT_BIRTH"] = "1"
    site.start_uwsgi(workers=1)
    wait_until(lambda: "killed by signal 9" in site.output(), PATIENCE, "the kill")
    assert len(site.check()) == 4


def test_a_load_that_logs_more_than_memory_holds(site: KilledSite) -> None:
    """All of it is in the master's spool, and outlives a worker that is killed at its birth."""
    site.environ |= {"KILLED_AT_BIRTH": "1", "KILLED_BOOT": "8000", "KILLED_MEMORY": str(1 << 20)}
    site.start_uwsgi(workers=1)
    wait_until(lambda: "killed by signal 9" in site.output(), PATIENCE, "the kill")
    assert len(site.check()) == 8000
    assert "forklog[" not in site.output()
