"""Real gunicorn servers with a spool whose workers are killed: each record is shown once."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until
from killed_site import PATIENCE, KilledSite

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

KILLS = 2
PRELOAD = pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
_LISTENS = re.compile(r"Listening at: (http://\S+) ")
_BOOTED = re.compile(r"Booting worker with pid: (\d+)")


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[KilledSite]:
    """Return the application, to be started; its server is killed in the end."""
    running = KilledSite(emulator, tmp_path)
    yield running
    running.kill_all()


def _start(site: KilledSite, *options: str) -> subprocess.Popen[bytes]:
    site.console.unlink(missing_ok=True)
    call = "-m", "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "--no-control-socket"
    process = site.run(*call, *options, "killed_app:application")
    wait_until(lambda: len(_BOOTED.findall(site.output())) >= 2, PATIENCE, site.output())
    site.url = _LISTENS.findall(site.output())[0]
    return process


@PRELOAD
def test_workers_killed_under_load(site: KilledSite, options: tuple[str, ...]) -> None:
    """Those in their place deliver what they logged, as soon as any process logs again."""
    _start(site, *options)
    with site.under_load():
        for turn in range(KILLS):
            site.wait_logged(200 * (turn + 1))
            before = _BOOTED.findall(site.output())
            site.kill([int(before[-1])])
            wait_until(lambda before=before: _BOOTED.findall(site.output()) != before, PATIENCE)
    site.ask()
    site.check()


@PRELOAD
def test_the_timeout_of_a_request(site: KilledSite, options: tuple[str, ...]) -> None:
    """A worker that gunicorn kills for its long request loses nothing."""
    site.environ["KILLED_LATENCY"] = "3600"
    _start(site, "--timeout=1", *options)
    assert site.ask("records=50&end=hang") is None
    assert "WORKER TIMEOUT" in site.output()
    site.environ["KILLED_LATENCY"] = "0.2"
    os.kill(site.pid, signal.SIGTERM)
    site.kill_all()
    _start(site, *options)
    site.ask()
    site.check()


def test_a_worker_that_ends_in_an_idle_server(site: KilledSite) -> None:
    """The worker in its place delivers what it logged last, as it loads the application."""
    _start(site)
    assert site.ask("records=50&end=kill") is None
    site.check()


def test_a_worker_that_ends_in_an_idle_server_with_preload(site: KilledSite) -> None:
    """No worker loads the application: the next record of any process delivers."""
    _start(site, "--preload")
    assert site.ask("records=50&end=kill") is None
    site.ask()
    site.check()
