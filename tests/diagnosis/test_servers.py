"""Real servers examine themselves; what they say is compared with what is then seen to happen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import rq
from cases import few
from helpers import are_workers_idle, python_path, wait_until
from packages import need_uwsgi
from redis_server import redis_server

from forklog.demo.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

HERE = Path(__file__).parent
SERVERS = HERE.parent / "servers" / "apps"
INI = """\
[uwsgi]
module = doctored
need-app = true
strict = true
master = true
processes = 1
enable-threads = true
die-on-term = true
disable-logging = true
"""
Answer = dict[str, Any]


class Doctored:
    """The application of doctored.py in a server."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self.url = ""
        self.environ = {
            "GOOGLE_CLOUD_PROJECT": "doctored",
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PYTHONPATH": os.pathsep.join([str(HERE), python_path()]),
        }
        self.open = contextlib.ExitStack()

    def start_uwsgi(self, lines: str = "", **environ: str) -> Server:
        """Start uWSGI with one worker and these lines in its configuration."""
        ini = self.folder / "server.ini"
        ini.write_text(f"{INI}stats = {self.folder / 'stats'}\n{lines}")
        need_uwsgi()
        server = Server.start(ini, self.folder, environ={**self.environ, **environ})
        self.open.callback(server.kill)
        self.url = server.url
        assert server.wait_ready(1), server.output()
        return server

    def start(self, *call: str) -> subprocess.Popen[bytes]:
        """Start a module of Python that prints to a file named log."""
        return self.start_file("-m", *call)

    def start_file(self, *call: str | Path) -> subprocess.Popen[bytes]:
        """Start a Python program that prints to a file named log."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *call],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=HERE,
                env={**os.environ, **self.environ},
                start_new_session=True,
            )
        self.open.callback(_kill, process)
        return process

    def log(self) -> str:
        """Return what that program has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def ask(self, query: str = "") -> Answer:
        """Send one request and return its answer."""
        with urllib.request.urlopen(f"{self.url}/?{query}", timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def is_idle(self) -> bool:
        """Tell whether no uWSGI worker is in a request; a busy one runs no hook when it ends."""
        return are_workers_idle(self.folder / "stats")

    def arrived(self, text: str) -> int:
        """Return how many entries with this text are in the emulator."""
        return len(self.emulator.entries(f'textPayload="{text}"'))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[Doctored]:
    """Return the application, to be started; its server is killed in the end."""
    running = Doctored(emulator, tmp_path)
    with running.open:
        yield running


def role_of(report: Answer) -> tuple[str, str, str]:
    """Return server, name and model."""
    role = report["process"]["role"]
    return role["server"], role["name"], role["model"]


def problems(report: Answer) -> list[str]:
    """Return the codes of what was found to be wrong."""
    return [f["code"] for f in report["findings"] if f["severity"] == "problem"]


def notes(report: Answer) -> list[str]:
    """Return the codes of what is worth knowing."""
    return [f["code"] for f in report["findings"] if f["severity"] == "note"]


def firing(report: Answer) -> list[str]:
    """Return the hooks that are shown as running at the end, and as ours."""
    return [h["name"] for h in report["ends"]["hooks"] if h["fires"] and h["is_hooked"]]


def outcomes(report: Answer) -> list[str]:
    """Return what became of the dry runs."""
    return [delivery["outcome"] for delivery in report["deliveries"]]


def states(report: Answer) -> list[str]:
    """Return the states of the handlers."""
    return [handler["state"] for handler in report["routes"]["handlers"]]


def test_uwsgi_prefork(site: Doctored) -> None:
    """Master, worker and child know what they are; no held entry is lost; one hook delivers."""
    server = site.start_uwsgi("skip-atexit-teardown = true\n")
    answer = site.ask("child")
    boot, now, child = answer["boot"], answer["now"], answer["child"]
    assert role_of(boot) == ("uwsgi", "master, before its workers", "prefork")
    assert (states(boot), firing(boot)) == (["holding"], [])
    assert answer["boot_threads"] == []
    assert boot["process"]["has_fork_hooks"] is False
    assert role_of(now) == ("uwsgi", "worker 1", "prefork")
    assert (states(now), firing(now)) == (["running"], ["uwsgi.atexit"])
    assert role_of(child) == ("multiprocessing", "child ForkProcess-1", "fork")
    assert firing(child) == ["threading._register_atexit"]
    for report in (boot, now, child):
        assert (problems(report), outcomes(report)) == ([], ["accepted"])
        assert report["is_healthy"] is True
    wait_until(lambda: site.arrived(f"boot {server.pid}"), 20, "the held entry")
    site.ask("end")
    wait_until(site.is_idle, 10)
    assert server.end(signal.SIGTERM, 20)
    assert site.arrived(f"at the end of {answer['pid']}") == 1
    assert site.arrived(f"boot {server.pid}") == 1


def test_uwsgi_that_loses_records(site: Doctored) -> None:
    """Options that lose records are problems, and what is shown as lost at the end is lost."""
    server = site.start_uwsgi("skip-atexit = true\nharakiri = 60\n", DOCTORED_OVERWRITES="1")
    answer = site.ask()
    assert problems(answer["boot"]) == ["fork-hook-overwritten", "skip-atexit", "harakiri"]
    now = answer["now"]
    assert problems(now) == ["fork-hook-overwritten", "skip-atexit", "harakiri"]
    assert firing(now) == []
    wait_until(lambda: site.arrived(f"asked {answer['pid']}") == 1, 20)  # an ERROR goes at once
    site.ask("end")
    wait_until(site.is_idle, 10)
    assert server.end(signal.SIGTERM, 20)
    assert site.arrived(f"at the end of {answer['pid']}") == 0


def test_uwsgi_lazy_apps(site: Doctored) -> None:
    """A worker that has loaded the application itself says so, at import and later.

    With a spool nothing is wrong, though harakiri kills, and the report fits on a terminal.
    """
    spool = site.folder / "spool"
    site.start_uwsgi("lazy-apps = true\nharakiri = 60\n", DOCTORED_SPOOL=str(spool))
    answer = site.ask()
    assert notes(answer["now"]) == ["emulator"]
    lines = answer["text"].splitlines()
    assert (len(lines) <= 24, max(map(len, lines)) <= 80) == (True, True), answer["text"]
    assert f"waits in the spool {spool}" in " ".join(answer["text"].split())
    for report in (answer["boot"], answer["now"]):
        assert role_of(report) == ("uwsgi", "worker 1", "lazy-apps")
        assert (problems(report), outcomes(report)) == ([], ["accepted"])
        assert firing(report) == ["uwsgi.atexit", "threading._register_atexit", "atexit"]


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_gunicorn(site: Doctored, kind: str) -> None:
    """The arbiter that preloads, its worker, and a child of that know what they are."""
    preload = ("--preload",) if kind == "sync" else ()
    site.environ |= {"DOCTORED_IMPORTS": "flask"} if preload else {}
    call = ("gunicorn", "--bind", "127.0.0.1:0", "-k", kind, *preload, "doctored:application")
    server = site.start(*call)
    listens = re.compile(r"Listening at: (http://\S+)")
    wait_until(lambda: listens.search(site.log()) or server.poll() is not None, 30, "an address")
    found = listens.search(site.log())
    assert found, site.log()
    site.url = found[1]
    answer = site.ask("child")
    if preload:
        assert role_of(answer["boot"]) == ("gunicorn", "arbiter", "preload")
        assert role_of(answer["now"]) == ("gunicorn", "worker (SyncWorker)", "preload")
    else:
        worker = ("gunicorn", "worker (GeventWorker)", "no preload")
        assert role_of(answer["boot"]) == role_of(answer["now"]) == worker
    assert role_of(answer["child"])[0] == "multiprocessing"
    assert ("no-middleware" in notes(answer["now"])) == bool(preload)
    assert "no-spool" in notes(answer["now"])
    for report in (answer["boot"], answer["now"], answer["child"]):
        assert (problems(report), outcomes(report)) == ([], ["accepted"]), site.log()
    site.ask("end")
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    assert site.arrived(f"at the end of {answer['pid']}") == 1


@pytest.mark.skipif(not find_spec("gunicorn.dirty"), reason="gunicorn before 25.0")
def test_gunicorns_dirty_worker(site: Doctored) -> None:
    """It knows that it ends by os._exit, after its run; its arbiter ends by Python's hooks.

    Class of fault: a process is taken for the one that forked it, and its end for that one's;
    sibling: `test_each_name_of_a_process_is_given`.
    """
    site.environ["DOCTORED_FOLDER"] = str(site.folder)
    server = site.start(
        "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "-c", "python:dirty_doctored",
        "--dirty-workers", "1", "--dirty-app", "dirty_doctored:Examined",
        "--name", f"doctored-{os.getpid()}",  # else it ends the dirty arbiter of another run
        "dirty_doctored:application",
    )  # fmt: skip
    listens = re.compile(r"Listening at: (http://\S+)")
    wait_until(lambda: "Dirty worker" in site.log(), 60, "a dirty worker")
    site.url = listens.findall(site.log())[0]
    answer = site.ask()
    arbiter = json.loads((site.folder / "dirty arbiter").read_text())
    assert role_of(arbiter) == ("gunicorn", "dirty arbiter", "no preload")
    assert firing(arbiter) == ["threading._register_atexit", "atexit"]
    for report in (answer["boot"], answer["now"]):
        assert role_of(report) == ("gunicorn", "dirty worker", "no preload")
        assert firing(report) == ["the end of gunicorn's dirty worker"]
        assert f"DirtyWorker object of process {report['process']['pid']}" in str(report)
        assert (problems(report), outcomes(report)) == ([], ["accepted"]), site.log()
    child = answer["child"]
    assert role_of(child)[:2] == ("gunicorn", "child of a dirty worker")
    assert (firing(child), child["ends"]["without"]) == ([], ["every end"])
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    assert site.arrived(f"at the end of {answer['now']['process']['pid']}") == 1


def test_uvicorn(site: Doctored) -> None:
    """It dies by the signal after its own shutdown, which is what is named, and delivers.

    Its loggers keep their records from the root logger, which is a problem.
    """
    server = site.start("uvicorn", "doctored:asgi", "--port", "0", "--lifespan", "off")
    running = re.compile(r"running on (http://\S+)")
    wait_until(lambda: running.search(site.log()), 60, "an address")
    site.url = running.findall(site.log())[0]
    now = site.ask()["now"]
    assert role_of(now) == ("uvicorn", "server", "no fork")
    assert (problems(now), firing(now)) == (["kept-loggers"], ["the end of uvicorn's shutdown"])
    assert "records of uvicorn.error and uvicorn.access end below" in str(now)
    pid = site.ask("end")["pid"]
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == -signal.SIGTERM
    assert site.arrived(f"at the end of {pid}") == 1


def test_work_horse(site: Doctored) -> None:
    """RQ's work horse knows that it ends after its job, without any hook of Python."""
    path = site.folder / "report"
    with redis_server() as port, redis.Redis(port=port) as connection:
        rq.Queue(connection=connection).enqueue("doctored.job", str(path))
        worker = site.start_file(SERVERS / "rq_worker.py", str(port))
        assert worker.wait(60) == 0, site.log()
    report = json.loads(path.read_text())
    assert role_of(report) == ("rq", "work horse", "fork for each job")
    assert (problems(report), firing(report)) == ([], ["the end of RQ's job"])


@pytest.mark.parametrize("way", few(["setup_logging", "dictConfig"], "dictConfig"))
def test_celery(site: Doctored, way: str) -> None:
    """The main process, and a child whose only hook is celery's own signal.

    Where logging is configured as elsewhere celery replaces the root's handlers: a problem.
    A hard time limit without a spool is one as well.
    """
    (site.folder / "broker" / "control").mkdir(parents=True)
    folder = site.folder / "broker"
    site.environ |= {"DOCTORED_FOLDER": str(folder), "DOCTORED_LOGGING": way}
    site.start(
        "celery", "-A", "celery_doctored", "worker", "-P", "prefork", "-c", "1",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    wait_until((folder / "child").exists, 60, "the child's report")
    main, child = (json.loads((folder / name).read_text()) for name in ("main", "child"))
    assert role_of(main) == ("celery", "main process", "prefork")
    assert role_of(child) == ("celery", "child ForkPoolWorker-1", "prefork")
    is_whole = way == "setup_logging"  # else no record connects forklog to the signal
    assert firing(child) == (["celery's worker_process_shutdown"] if is_whole else [])
    for report in (main, child):
        found = [code for code in problems(report) if code not in ("no-handler", "unattached")]
        assert found == (["time-limit"] if is_whole else ["celery-root", "time-limit"])
        assert outcomes(report) == ["accepted"]
