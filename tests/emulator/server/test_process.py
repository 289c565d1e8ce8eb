"""The process: starting, ending, its files, its command line, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import few

from forklog.emulator import Emulator
from forklog.emulator.process import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Eventually = Callable[[Callable[[], bool]], None]

COMMAND = [sys.executable, "-m", "forklog.emulator"]
JSON = {"Content-Type": "application/json"}
ENTRY = b"""{"logName": "projects/p/logs/web", "resource": {"type": "global"},
             "entries": [{"textPayload": "kept", "insertId": "1"}]}"""


def _write(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection(emulator.host, timeout=10)
    connection.request("POST", "/v2/entries:write", ENTRY, JSON)
    assert connection.getresponse().read() == b"{}"
    connection.close()


def _is_free(host: str) -> bool:
    address, _, port = host.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((address, int(port))) != 0


def test_it_stops_with_its_block(eventually: Eventually) -> None:
    """After the block nothing listens, and stopping again does nothing."""
    with Emulator.start() as emulator:
        assert emulator.url == f"http://{emulator.host}"
        assert emulator.entries() == []
    eventually(lambda: _is_free(emulator.host))
    emulator.stop()


def test_a_database_file_outlives_the_process(tmp_path: Path) -> None:
    """What was stored is there again for the next emulator, in a file only its user can read."""
    file = tmp_path / "log.db"
    with Emulator.start(db=file) as first:
        _write(first)
    assert file.stat().st_mode & 0o777 == 0o600
    with Emulator.start(db=file) as second:
        assert [entry["textPayload"] for entry in second.entries()] == ["kept"]
        assert second.stats()["entries_shown"] == 1
        with pytest.raises(EmulatorError, match="database"):
            Emulator.start(db=file)


def test_a_planted_database_is_refused(tmp_path: Path) -> None:
    """A link, or a file that others can read, is not opened; neither is a planted journal."""
    (tmp_path / "target").touch(0o600)
    (tmp_path / "link.db").symlink_to(tmp_path / "target")
    (tmp_path / "open.db").touch()
    (tmp_path / "open.db").chmod(0o644)
    (tmp_path / "fresh.db-journal").symlink_to(tmp_path / "target")
    (tmp_path / "text.db").write_text("this is no database, but text of some length\n" * 50)
    (tmp_path / "text.db").chmod(0o600)
    for name in ("link.db", "open.db", "fresh.db", "text.db"):
        with pytest.raises(EmulatorError, match="database"):
            Emulator.start(db=tmp_path / name)
    assert (tmp_path / "target").read_bytes() == b""


@pytest.mark.parametrize("host", few(["nosuch.host.invalid", "1.2.3.4"], "1.2.3.4"))
def test_a_host_that_is_not_here_is_named(host: str) -> None:
    """A name that is no host's, or another's address, is the option --host's fault."""
    command = [sys.executable, "-m", "forklog", "emulator", "--host", host, "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith(f"forklog emulator: cannot listen on {host}:0: ")
    assert line.endswith("; choose another --host")


def test_a_port_in_use_is_one_clear_line() -> None:
    """The exit status is 1 and standard error has one line with address and remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "--port" in line


@pytest.mark.parametrize("number", few([signal.SIGINT, signal.SIGTERM], signal.SIGTERM))
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """It says where it listens and how to point at it; a signal ends it with exit status 0."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    host = first.strip().removeprefix("forklog emulator listening on http://")
    assert host.startswith("127.0.0.1:")
    assert f"LOGGING_EMULATOR_HOST={host}" in second
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_signal_ends_it_while_calls_hang() -> None:
    """Calls that hang do not keep it alive."""
    with Emulator.start() as emulator:
        emulator.fault("hang")
        connection = http.client.HTTPConnection(emulator.host, timeout=30)
        connection.request("POST", "/v2/entries:write", ENTRY, JSON)
        emulator.wait_for(lambda _: emulator.stats()["faults"] == 1, 10)
        process = emulator._process
        assert process is not None
        process.terminate()
        assert process.wait(10) == 0
        connection.close()


@pytest.mark.parametrize(
    "arguments",
    few([["--port", "x"], ["--port", "70000"], ["--retention-days", "0"]], ["--port", "70000"]),
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    """A wrong argument ends it with exit status 2 and a line that names it."""
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert arguments[0] in done.stderr


@pytest.mark.parametrize("with_child", [False, True])
def test_it_dies_with_a_killed_parent(eventually: Eventually, *, with_child: bool) -> None:
    """When the process that started it is killed it ends, even if a forked child lives on."""
    script = (
        "import os, time\n"
        "from forklog.emulator import Emulator\n"
        "emulator = Emulator.start()\n"
        f"child = os.fork() if {with_child} else -1\n"
        "if child: print(emulator.host, child, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        host, child = run.stdout.readline().split()
        assert not _is_free(host)
        run.kill()
        run.wait(10)
        try:
            eventually(lambda: _is_free(host))
        finally:
            if with_child:
                os.kill(int(child), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*is multi-threaded:DeprecationWarning")  # by a thread of xdist
def test_a_forked_child_uses_it_but_cannot_stop_it(emulator: Emulator) -> None:
    """A child's calls work on the inherited handle, and its stop leaves the emulator running."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            _write(emulator)
            emulator.stop()
            status = 71
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 71
    assert len(emulator.entries()) == 1


def test_wait_for_shows_what_was_there(emulator: Emulator) -> None:
    """A wait that is not met raises TimeoutError with the entries it saw last."""
    _write(emulator)
    with pytest.raises(TimeoutError, match=r'1 entries.*\n.*"textPayload": "kept"'):
        emulator.wait_for(lambda found: len(found) == 2, timeout=0.1)


def test_the_client_side_needs_no_server_packages() -> None:
    """Importing the package root, and asking for help, load no aiohttp."""
    script = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "import argparse, forklog.emulator\n"
        "from forklog.emulator.command import add_arguments, run\n"
        "parser = argparse.ArgumentParser(); add_arguments(parser)\n"
        "sys.exit(run(parser.parse_args([])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "install forklog with its extra emulator" in done.stderr


def test_the_help_page_names_its_own_address(emulator: Emulator) -> None:
    """GET / says how to point a program at this emulator."""
    connection = http.client.HTTPConnection(emulator.host, timeout=10)
    connection.request("GET", "/")
    text = connection.getresponse().read().decode()
    connection.close()
    assert f"LOGGING_EMULATOR_HOST={emulator.host}" in text


def test_it_ends_while_a_filter_is_at_work() -> None:
    """SIGTERM ends the process although its one worker has seconds of work, and more in wait."""
    command = [*COMMAND, "--port", "0", "--quiet"]
    log = {"logName": "projects/p/logs/l", "resource": {"type": "global"}}
    write = {**log, "entries": [{"textPayload": "a" * 20_000}]}
    slow = {
        "filter": f'textPayload=~"{"(?:a|b|c|d)+" * 1500}"',
        "resourceNames": ["projects/p"],
    }
    calls = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        host = process.stdout.readline().split("//")[1].strip()
        for path, body in [("write", write), *[("list", slow)] * 8]:
            call = http.client.HTTPConnection(host, timeout=30)
            call.request("POST", f"/v2/entries:{path}", json.dumps(body), JSON)
            calls.append(call)
            if path == "write":
                assert call.getresponse().read() == b"{}"
        calls[-1].sock.settimeout(0.5)  # the last is not answered meanwhile
        with pytest.raises(TimeoutError):
            calls[-1].sock.recv(1)
        process.terminate()
        assert process.wait(15) == 0  # eight filters would take 32 s
    finally:
        process.kill()
        process.communicate()
        for call in calls:
            call.close()
