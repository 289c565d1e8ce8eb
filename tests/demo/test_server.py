"""Real uWSGI servers are started, watched and ended, whatever state they are in."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from forklog.demo.load import Answers, Plan, ask, send_load
from forklog.demo.modes import MODES, WORKERS, Mode, example_folder
from forklog.demo.processes import is_running, wait_until
from forklog.demo.server import Server, ServerError

if TYPE_CHECKING:
    from pathlib import Path

APP = """
import json, os, time

def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        time.sleep(600)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid()}).encode()]
"""
INI = """
[uwsgi]
pythonpath = %d
module = plain
need-app = true
processes = 2
die-on-term = true
"""


pytestmark = pytest.mark.usefixtures("uwsgi")


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """Write an application that logs nothing, and its configuration."""
    (tmp_path / "plain.py").write_text(APP)
    path = tmp_path / "plain.ini"
    path.write_text(INI)
    return path


ALL_ANSWER = Plan(workers=2, requests=4, at_once=4, records=0, hold=0)


def start(ini: Path, *options: str) -> Server:
    """Start a server and have every worker answer: before that, uWSGI may lose a signal."""
    server = Server.start(ini, ini.parent, options=options)
    assert server.wait_ready(2), server.output()
    answers = send_load(server.url, ALL_ANSWER, lambda _: None)
    assert answers.pids == set(server.workers().values())
    return server


@pytest.mark.parametrize("options", [("--master",), ()], ids=["master", "no-master"])
def test_workers_are_known_and_all_processes_end_at_the_stop_signal(
    ini: Path, options: tuple[str, ...]
) -> None:
    """The workers read from the output answer requests, and none is left after the end."""
    with start(ini, *options) as server:
        workers = server.workers()
        assert sorted(workers) == [1, 2]
        assert ask(server.url, 5) in workers.values()
        assert server.end()
        assert server.group() == []
        assert not any(map(is_running, workers.values()))


def test_a_worker_that_was_killed_is_replaced_and_known_by_its_new_pid(ini: Path) -> None:
    """After kill -9 the master's new worker takes the number of the old one."""
    with start(ini, "--master") as server:
        old = server.workers()[1]
        os.kill(old, signal.SIGKILL)
        assert wait_until(lambda: server.workers()[1] != old, 10), server.output()
        assert is_running(server.workers()[1])
        assert not is_running(old)


def test_a_server_without_the_file_says_so(tmp_path: Path) -> None:
    """A configuration that is not there ends uWSGI before any port is bound."""
    with pytest.raises(ServerError, match=r"absent\.ini"):
        Server.start(tmp_path / "absent.ini", tmp_path)


def test_sighup_reloads_the_server_behind_the_same_url(ini: Path) -> None:
    """The server starts itself again; the new workers answer and the leader keeps its PID."""
    with start(ini, "--master") as server:
        url, old = server.url, set(server.workers().values())
        os.kill(server.pid, signal.SIGHUP)
        assert wait_until(lambda: not old & set(server.workers().values()), 15), server.output()
        assert wait_until(lambda: ask(url, 5) in server.workers().values(), 10), server.output()
        reloaded = send_load(url, ALL_ANSWER, lambda _: None)
        assert reloaded.pids == set(server.workers().values())
        assert server.end()


def test_a_server_that_does_not_end_is_killed(ini: Path) -> None:
    """A stopped process cannot obey; the end says so and leaves nothing behind."""
    with start(ini, "--master") as server:
        os.kill(server.pid, signal.SIGSTOP)
        assert not server.end(timeout=0.3)
        assert wait_until(lambda: not server.group(), 5)


def test_a_server_that_cannot_start_says_what_it_printed(ini: Path) -> None:
    """The error carries uWSGI's own words."""
    (ini.parent / "plain.py").write_text("raise RuntimeError('no such shop')")
    with (
        pytest.raises(ServerError, match="no such shop"),
        Server.start(ini, ini.parent) as server,
    ):
        server.wait_ready(2)


def test_the_load_goes_on_until_every_worker_has_answered(ini: Path) -> None:
    """Its answers come from all workers and no request is left open."""
    shown: list[Answers] = []
    with start(ini, "--master") as server:
        plan = Plan(workers=2, requests=8, at_once=4, records=0, hold=0)
        answers = send_load(server.url, plan, shown.append)
        assert answers.pids == set(server.workers().values())
    assert answers.answered == answers.requests >= 8
    assert shown[-1] == answers


def test_the_load_loses_patience_with_a_worker_that_never_answers(ini: Path) -> None:
    """A stopped worker is missing from the answers, and the time spent on it is bounded."""
    with start(ini, "--master") as server:
        stopped = server.workers()[1]
        os.kill(stopped, signal.SIGSTOP)
        plan = Plan(workers=2, requests=4, at_once=2, records=0, hold=0, patience=1.5)
        answers = send_load(server.url, plan, lambda _: None)
        assert answers.pids == {server.workers()[2]}


def test_a_request_to_a_busy_worker_times_out(ini: Path) -> None:
    """No answer in time is None, as is no server at all."""
    with start(ini, "--master") as server:
        assert ask(f"{server.url}/hang", 0.2) is None
        url = server.url
    assert ask(url, 0.2) is None


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_each_mode_of_the_demo_is_a_file_of_the_example(mode: Mode) -> None:
    """The ini files are found, and start the number of workers that the demo waits for."""
    path = example_folder() / mode.ini
    assert f"processes = {WORKERS}\n" in path.read_text()
