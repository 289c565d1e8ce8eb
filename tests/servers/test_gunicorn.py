"""Real gunicorn servers, with and without preload: all kinds of workers, all kinds of ends.

gunicorn's own loggers use the handler too, in the arbiter and in the workers.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few
from gunicorn_site import EXAMPLES, PATIENCE, GunicornSite, import_records
from helpers import wait_until

from forklog.demo.processes import is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

WORKERS = 2
BOOT = 2
"""Records that the example logs each time it is imported."""
SHUTDOWN = 4.0
WSGI, ASGI = "app:application", "app:asgi"
UVICORN = "uvicorn_worker.UvicornWorker"
KINDS = {
    "sync": (WSGI, ()),
    "gthread": (WSGI, ("--threads", "4")),
    "gevent": (WSGI, ()),
    "asgi": (ASGI, ()),
    UVICORN: (ASGI, ()),
}
HUPS = 2
FAKE = (
    "from forklog.testing import FakeTransport",
    "cloud['transport'] = FakeTransport()",  # no request, in which the thread could not end
)


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[GunicornSite]:
    """Return the example, to be started; its server is killed in the end."""
    running = GunicornSite(emulator, tmp_path)
    yield running
    running.kill()


@pytest.mark.parametrize(
    ("kind", "is_preloaded"),
    few(
        [*((kind, False) for kind in KINDS), *((kind, True) for kind in KINDS if kind != "asgi")],
        *[("sync", False), ("gthread", True), ("gevent", True), (UVICORN, False)],
    ),
)
def test_every_record_arrives_once(site: GunicornSite, kind: str, *, is_preloaded: bool) -> None:
    """Through start, HUP and TERM all records of arbiter, workers and application arrive once."""
    app, options = KINDS[kind]
    site.start("-k", kind, *options, *["--preload"][: int(is_preloaded)], app=app)
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.kill(site.pid, signal.SIGHUP)
    site.ask_until(lambda pids: len(pids - old) == WORKERS)
    wait_until(lambda: not any(map(is_running, old)), PATIENCE, site.output())
    site.ask()
    site.end(signal.SIGTERM)
    arrived = site.check()
    assert import_records(arrived) == BOOT * (1 if is_preloaded else 2 * WORKERS)
    texts = [text for logger, text in arrived.elements() if logger == "gunicorn.error"]
    assert len([text for text in texts if text.startswith("Booting worker")]) == 2 * WORKERS
    for once in ("Starting gunicorn", "Handling signal: term", "Shutting down: Master"):
        assert len([text for text in texts if text.startswith(once)]) == 1, once


@pytest.mark.parametrize("is_preloaded", few([False, True], True), ids=["", "preload"])
def test_workers_of_tornado(site: GunicornSite, *, is_preloaded: bool) -> None:
    """They deliver too; tornado's access log, which no console has, is off."""
    pytest.importorskip("tornado")
    quiet = "logconfig_dict['loggers']['tornado.access'] = {'level': 'WARNING'}"
    options = ("-k", "tornado", *["--preload"][: int(is_preloaded)])
    site.start(*options, config=_changed(site.folder, quiet))
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.end(signal.SIGTERM)
    assert import_records(site.check()) == BOOT * (1 if is_preloaded else WORKERS)


@pytest.mark.parametrize("is_preloaded", few([False, True], True), ids=["", "preload"])
def test_an_application_that_configures_logging_itself(
    site: GunicornSite, *, is_preloaded: bool
) -> None:
    """Its dictConfig closes the handler of gunicorn's loggers, which go on through it."""
    config = _changed(site.folder, "logconfig_dict['root']['handlers'] = ['console']")
    site.start(*["--preload"][: int(is_preloaded)], example="uwsgi", config=config)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.end(signal.SIGTERM)
    assert import_records(site.check()) == 4 * (1 if is_preloaded else WORKERS)


@pytest.mark.parametrize(
    ("number", "reloads"), [(signal.SIGINT, 0), (signal.SIGQUIT, HUPS)], ids=["INT", "QUIT"]
)
def test_reloads_leave_nothing_behind_and_a_quick_end_delivers(
    site: GunicornSite, number: signal.Signals, reloads: int
) -> None:
    """Each HUP configures logging anew: one thread and connection of ours stays."""
    site.start("--preload", control=True)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.check()
    before = _held(site.pid)
    for turn in range(2, 2 + reloads):
        os.kill(site.pid, signal.SIGHUP)
        wait_until(lambda turn=turn: len(site.workers()) == turn * WORKERS, PATIENCE, site.output())
        wait_until(lambda: not any(map(is_running, site.workers()[:-WORKERS])), PATIENCE)
    site.check()
    wait_until(lambda: not _held(site.pid) - before, PATIENCE, f"threads and files as {before}")
    site.end(number)
    site.check()


def _held(pid: int) -> Counter[str]:
    """Return how many threads and descriptors a process has."""
    return Counter(
        {what: len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("task", "fd")}
    )


def test_no_fork_of_the_arbiter_is_warned_of(site: GunicornSite) -> None:
    """Python 3.12+ warns of forks with threads about; ours ends before each, although it logs."""
    site.start("--preload", config=_changed(site.folder, *FAKE))
    for turn in range(2, 2 + HUPS):
        os.kill(site.pid, signal.SIGHUP)
        wait_until(lambda turn=turn: len(site.workers()) == turn * WORKERS, PATIENCE, site.output())
    site.ask()
    site.end(signal.SIGTERM)
    site.check_no_fork_warning()


def _changed(folder: Path, *lines: str) -> Path:
    """Return the example's configuration with some lines more; `cloud` is our handler's part."""
    config = folder / "changed.conf.py"
    example = (EXAMPLES / "gunicorn" / "gunicorn.conf.py").read_text()
    config.write_text("\n".join([example, "cloud = logconfig_dict['handlers']['cloud']", *lines]))
    return config


@pytest.mark.parametrize("kind", few(["gthread", UVICORN], "gthread"))
def test_max_requests(site: GunicornSite, kind: str) -> None:
    """Workers that end after some requests have delivered, and so do their successors."""
    app, options = KINDS[kind]
    site.start("-k", kind, *options, "--preload", "--max-requests=5", app=app)
    site.ask_until(lambda pids: len(pids) >= 3 * WORKERS)
    # One at its limit has no handler for TERM any more, which kills it before its last hook.
    # Nor has one that was forked just now.
    wait_until(lambda: not _ending(site) and _are_ready(site), PATIENCE, site.output())
    site.end(signal.SIGTERM)
    assert import_records(site.check()) == BOOT


def _are_ready(site: GunicornSite) -> bool:
    """Tell whether as many workers as are wanted live, and all have a handler for TERM."""
    lines = site.output().splitlines()
    booted = [int(line.split()[-1]) for line in lines if "Booting worker with pid" in line]
    live = [pid for pid in booted if is_running(pid)]
    return len(live) == WORKERS and all(map(_catches_term, live))


def _catches_term(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return True
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _ending(site: GunicornSite) -> set[str]:
    """Return the workers that have reached their limit, and live."""
    lines = site.output().splitlines()
    full = [line.split()[0] for line in lines if "Maximum request" in line or "Autorestart" in line]
    return {pid for pid in full if is_running(int(pid))}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_a_worker_that_is_reloaded(site: GunicornSite, tmp_path: Path, kind: str) -> None:
    """With --reload a worker ends once a file has changed; its exit delivers what it holds."""
    watched = tmp_path / "watched"
    watched.touch()
    config = _changed(tmp_path, "cloud['max_latency'] = 60")
    options = ("--workers=1", "--reload", "--reload-engine=poll", f"--reload-extra-file={watched}")
    site.start("-k", kind, *options, config=config)
    (old,) = site.ask_until(lambda pids: len(pids) == 1)
    wait_until(lambda: _has_changed(watched) and len(site.workers()) > 1, PATIENCE, site.output())
    wait_until(lambda: not is_running(old), PATIENCE, site.output())
    site.ask_until(lambda pids: pids - {old})
    site.end(signal.SIGTERM)
    assert import_records(site.check()) == 2 * BOOT


def _has_changed(file: Path) -> bool:
    """Change a file's time: the poll of a worker that has just begun knows no earlier one."""
    file.touch()
    return True


def test_an_upgrade(site: GunicornSite) -> None:
    """After USR2 the old and the new arbiter deliver side by side, then the new one alone."""
    site.start("--preload")
    old = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.kill(site.pid, signal.SIGUSR2)
    wait_until(lambda: len(site.arbiters()) == 2, PATIENCE, site.output())
    site.ask_until(lambda pids: len(pids - old) == WORKERS and pids & old)
    first, second = site.arbiters()
    site.end(signal.SIGTERM, first)
    wait_until(lambda: "Master has been promoted" in site.output(), PATIENCE, site.output())
    assert site.ask() not in old
    site.end(signal.SIGTERM, second)
    assert import_records(site.check()) == 2 * BOOT


def test_killed_workers_are_replaced(site: GunicornSite) -> None:
    """A worker killed for its timeout still delivers; after kill -9 its successor goes on."""
    site.start("--workers=1", "--timeout=2", "--preload")
    site.ask_in_vain("records=8&hold=60")
    wait_until(lambda: len(site.workers()) == 2, PATIENCE, "a new worker")
    victim = site.ask()
    # A worker writes it after its answer; killed before the flush, it would take it along.
    wait_until(lambda: f"{victim} gunicorn.access" in site.output(), PATIENCE, "its access line")
    site.check()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(site.workers()) == 3, PATIENCE, "a new worker")
    site.ask()
    assert import_records(site.check()) == BOOT


def test_a_dead_server_holds_up_no_end(site: GunicornSite) -> None:
    """Workers and arbiter each end within shutdown_timeout, and say on stderr what was lost."""
    site.emulator.fault("hang")
    site.start("--preload", config=_changed(site.folder, f"cloud['shutdown_timeout'] = {SHUTDOWN}"))
    workers = site.ask_until(lambda pids: len(pids) == WORKERS)
    os.kill(site.pid, signal.SIGTERM)
    for pids in (workers, {site.pid}):
        before = time.monotonic()
        wait_until(lambda pids=pids: not (any(map(is_running, pids))), PATIENCE, site.output())
        # The second that is allowed and some for a busy machine; a deadline used twice takes 8 s.
        assert time.monotonic() - before < SHUTDOWN + 3
    assert not site.logged() - site.last_resort()
