"""Servers that fork their workers while a thread holds the locks of forklog's HTTP pools.

Closes the class: a worker takes a lock that it has inherited held, at its first record or in a
finalizer at its exit. `tests/fork/test_inherited.py` does the same to bare processes and to
multiprocessing.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gunicorn_site import PATIENCE, GunicornSite
from helpers import wait_until

from forklog.demo.processes import is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Site

    from forklog.emulator.process import Emulator

WORKERS = 2
END = 25
"""Seconds for a worker to end; each server kills one that hangs after 30 s or more, if ever."""
APPS = Path(__file__).parent / "apps"
_HELD = re.compile(r"held in (\d+): pools (\d+), managers (\d+)")


def _check_held(output: str, holder: int) -> None:
    ((pid, pools, managers),) = _HELD.findall(output)
    assert int(pid) == holder
    assert int(pools) >= 2, "the pools of the entries and of the tokens"
    assert int(managers) >= 2


def test_uwsgis_workers_deliver_and_end(site: Site) -> None:
    """Workers deliver once and end while uWSGI's master holds the locks of its pools.

    The master opens no session by itself, it only holds entries: so the application opens them.
    """
    released = site.folder / "released"
    os.mkfifo(released)
    site.environ |= {"HELD_UNTIL": str(released), "EXAMPLE_MAX_LATENCY": "60"}
    server = site.start_uwsgi(WORKERS, "master = true\nmodule = held_locks\n")
    _check_held(server.output(), server.pid)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.end_uwsgi(seconds=END)
    site.check_every_record_once()


@pytest.fixture
def gunicorn(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GunicornSite]:
    """Return the application, to be started; its server is killed in the end."""
    os.mkfifo(tmp_path / "released")
    monkeypatch.setenv("HELD_UNTIL", str(tmp_path / "released"))
    running = GunicornSite(emulator, tmp_path)
    yield running
    running.kill()


def test_gunicorns_workers_deliver_and_end(gunicorn: GunicornSite) -> None:
    """Workers deliver once and end while the arbiter of --preload holds the locks of its pools."""
    options = ("--preload", f"--pythonpath={APPS}")
    gunicorn.start(*options, app="held_locks:application")
    _check_held(gunicorn.output(), gunicorn.pid)
    workers = gunicorn.ask_until(lambda pids: len(pids) == WORKERS)
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    wait_until(lambda: not any(map(is_running, workers)), END, gunicorn.output())
    released = os.open(gunicorn.folder / "released", os.O_WRONLY | os.O_NONBLOCK)
    os.close(released)  # the arbiter's own records need the locks as well
    wait_until(lambda: len(gunicorn.workers()) == 2 * WORKERS, PATIENCE, gunicorn.output())
    # A TERM between a worker's first line and its own handlers is lost: gunicorn waits 30 s then.
    gunicorn.ask_until(lambda pids: len(pids.difference(workers)) == WORKERS)
    gunicorn.end(signal.SIGTERM)
    gunicorn.check()
