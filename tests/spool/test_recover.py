"""`forklog recover` with the files of a last resort, and what a spool's head says by then."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few, further
from helpers import check_python, python_path

if TYPE_CHECKING:
    from forklog.emulator import Emulator

_SAVE = """
import logging
import forklog
handler = forklog.CloudLoggingHandler(
    project="p", endpoint="http://127.0.0.1:1", log_name="my/log", labels={{"a": "b"}},
    resource={{"type": "global", "labels": {{"project_id": "p"}}}},
    last_resort={path!r}, shutdown_timeout=0.1,
)
logger = logging.Logger("saved", logging.DEBUG)
logger.addHandler(handler)
for number in range(5):
    logger.info("%d", number, extra={{"labels": {{"own": str(number)}}}})
handler.close()
assert handler.stats().diverted == {{"file": 5}}, handler.stats()
"""


_RECOVER = (sys.executable, "-m", "forklog", "recover")


def _environ(emulator: Emulator) -> dict[str, str]:
    dropped = {"GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"}
    environ = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**environ, "PYTHONPATH": python_path(), "LOGGING_EMULATOR_HOST": emulator.host}


def _recover(
    path: Path | str, emulator: Emulator, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_RECOVER, str(path), *options],
        env=_environ(emulator),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_last_resort_says_all_that_its_sender_needs(tmp_path: Path, emulator: Emulator) -> None:
    """Lines carry log, resource and labels; `forklog recover` sends them without any option."""
    path = tmp_path / "saved.json"
    check_python(_SAVE.format(path=str(path)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["logName"] for line in lines} == {"projects/p/logs/my%2Flog"}
    assert lines[3]["labels"] == {"a": "b", "own": "3", "python_logger": "saved"}
    done = _recover(path, emulator)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = emulator.entries()
    assert [entry["textPayload"] for entry in entries] == list("01234")
    for entry, line in zip(entries, lines, strict=True):
        for name in ("insertId", "timestamp", "logName", "resource", "labels", "severity"):
            assert entry[name] == line[name], name
    other = _recover(path, emulator, "--project", "q")
    assert other.returncode == 1
    assert "give --project p" in other.stdout
    assert len(emulator.entries()) == 5


def test_older_lines_ask_for_project_and_log(tmp_path: Path, emulator: Emulator) -> None:
    """A line of a version before has neither: the call is refused, and names what it needs."""
    path = tmp_path / "saved.json"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # the emulator keeps 30 days
    path.write_text(
        f'{{"insertId":"61a3f0c2d1b0e4a5f600000000000","timestamp":"{now}",'
        '"severity":"INFO","textPayload":"old"}\n'
    )
    for options, wanted in (((), "--log"), (("--log", "x"), "--project")):
        done = _recover(path, emulator, *options)
        assert done.returncode == 2
        assert wanted in done.stderr
    done = _recover(path, emulator, "--log", "x", "--project", "p")
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = emulator.entries()
    assert (entry["logName"], entry["textPayload"]) == ("projects/p/logs/x", "old")


def _kill(folder: Path, emulator: Emulator, project: str | None) -> None:
    """Have a process log to a spool and die before it has sent anything, or found its project."""
    check_python(
        f"""
        import logging, os, signal
        import forklog
        from forklog.testing import FakeTransport, Hang
        for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
            os.environ.pop(name, None)
        handler = forklog.CloudLoggingHandler(
            project={project!r}, endpoint="http://{emulator.host}", spool={str(folder)!r},
            transport=FakeTransport(Hang(times=1000)),
        )
        logger = logging.Logger("killed")
        logger.addHandler(handler)
        if os.fork() == 0:
            logger.error("of %s", {project!r})
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL
        """,
        is_covered=False,
    )


def test_each_process_of_a_folder_has_its_own_project(tmp_path: Path, emulator: Emulator) -> None:
    """In one call; what names none waits for a call that names one, and for no other's."""
    folder = tmp_path / "spool"
    projects = ("alpha", None, "beta", None, "alpha")
    for project in projects:
        _kill(folder, emulator, project)
    listed = _recover(folder, emulator, "--endpoint", f"http://{emulator.host}", "--dry-run")
    assert listed.returncode == 1
    first = f"{folder}: would send 3 log entries, 2 log entries of an unknown project"
    assert listed.stdout.splitlines()[0] == first
    endpoint = f"http://{emulator.host}"
    printed = json.loads(
        _recover(folder, emulator, "--endpoint", endpoint, "--dry-run", "--json").stdout
    )
    assert (printed["left"], printed["unknown"]) == (3, 2)
    done = _recover(folder, emulator, "--endpoint", f"http://{emulator.host}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == f"{folder}: sent 3 log entries, 2 log entries left"
    for output in (listed.stdout, done.stdout):
        assert output.count("of an unknown project; give --project ID") == 2
    logs = {(entry["logName"], entry["textPayload"]) for entry in emulator.entries()}
    assert logs == {(f"projects/{p}/logs/python", f"of {p}") for p in ("alpha", "beta")}
    done = _recover(folder, emulator, "--endpoint", f"http://{emulator.host}", "--project", "gamma")
    assert done.returncode == 0, done.stdout + done.stderr
    last = [entry["logName"] for entry in emulator.entries() if entry["textPayload"] == "of None"]
    assert last == ["projects/gamma/logs/python"] * 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", few(["xterm", "dumb"], "xterm"))
def test_progress_on_a_terminal(tmp_path: Path, emulator: Emulator, kind: str) -> None:
    """It shows how many were sent so far, in one line that is erased at the end."""
    if kind != "dumb":
        pytest.importorskip("rich")
    folder = tmp_path / "spool"
    for _ in range(2):
        _kill(folder, emulator, "p")
    terminal, end = os.openpty()
    with subprocess.Popen(
        [*_RECOVER, str(folder), "--endpoint", f"http://{emulator.host}"],
        env={**_environ(emulator), "TERM": kind},
        stdout=subprocess.PIPE,
        stderr=end,
    ) as process:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # no process has the other end open any more
            while piece := os.read(terminal, 4096):
                shown += piece
        os.close(terminal)
        assert process.stdout
        assert process.stdout.read().decode() == f"{folder}: sent 2 log entries\n"
    assert process.returncode == 0
    before, text, after = shown.rpartition(b"2 log entries sent")
    assert text, shown
    assert b"\n" not in before + text, shown
    assert re.search(rb"\x1b\[2?K", after), shown
    assert (kind == "dumb") == (shown == b"\r\x1b[K1 log entries sent\r\x1b[K" + text + b"\r\x1b[K")


@pytest.mark.long
def test_no_progress_without_a_terminal(tmp_path: Path, emulator: Emulator) -> None:
    """Whatever the terminal is called, a pipe gets nothing but the result."""
    folder = tmp_path / "spool"
    _kill(folder, emulator, "p")
    done = _recover(folder, emulator, "--endpoint", f"http://{emulator.host}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{folder}: sent 1 log entry\n"


@pytest.mark.long
def test_a_spool_of_others_says_whose_it_is(tmp_path: Path, emulator: Emulator) -> None:
    """A call for another project and endpoint names those of the spool, and what to give."""
    folder, url = tmp_path / "spool", f"http://{emulator.host}"
    nowhere = ("--endpoint", "http://127.0.0.1:1")
    _kill(folder, emulator, "alpha")
    for wrong, missing in (
        (("--project", "beta", *nowhere), f"--project alpha --endpoint {url}"),
        (("--project", "beta", "--endpoint", url), "--project alpha"),
        (nowhere, f"--endpoint {url}"),
    ):
        done = _recover(folder, emulator, *wrong)
        assert done.returncode == 1
        assert done.stdout.rstrip().endswith(f"old, of project alpha at {url}; give {missing}")
    assert _recover(folder, emulator, "--project", "alpha", "--endpoint", url).returncode == 0
    assert [entry["textPayload"] for entry in emulator.entries()] == ["of alpha"]


@pytest.mark.parametrize("endpoint", ["http://user:secret@host", *further("http://h/?key=secret")])
def test_what_is_no_address_is_not_shown(tmp_path: Path, emulator: Emulator, endpoint: str) -> None:
    """The head of a spool is another process's: of what is no endpoint nothing is printed."""
    _kill(tmp_path / "spool", emulator, "alpha")
    [head] = (tmp_path / "spool").glob("*.head")
    head.write_text(json.dumps({**json.loads(head.read_text()), "endpoint": endpoint}))
    done = _recover(tmp_path / "spool", emulator)
    assert done.returncode == 1
    assert "secret" not in done.stdout + done.stderr
    assert "of an endpoint that is none" in done.stdout


_ENTRY = '{"insertId":"1","logName":"projects/p/logs/l","resource":{"type":"global"}}\n'
_CUT = '{"insertId":"2","logName":"proj'
OTHERS = {
    "lines of others": "root:x:0:0\nbin:x:1:1\n",
    "one line": "no entry",
    "bytes": "\xfe\x00{\n",
    "JSON of another kind": '{\n  "version": 1,\n  "handlers": {}\n}\n',
    "entries without an insertId": '{"severity":"INFO"}\n[]\n3\n',
}


@pytest.mark.parametrize("kind", few(OTHERS, *list(OTHERS)[:2]))
def test_a_file_of_others_is_no_last_resort(tmp_path: Path, emulator: Emulator, kind: str) -> None:
    """Where no line is an entry the call was wrong, and one line says so."""
    (tmp_path / "wrong").write_text(OTHERS[kind], "latin-1")
    done = _recover(tmp_path / "wrong", emulator)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "wrong is no file of a last resort: none of its lines" in line


def test_lines_of_others_among_entries_are_counted_apart(
    tmp_path: Path, emulator: Emulator
) -> None:
    """Of a captured stderr the entries are sent; what a kill has cut is counted apart."""
    path = tmp_path / "stderr"
    path.write_text(
        f"starts\n\n{_ENTRY}forklog[7]: cannot deliver logs\n{_CUT}\n{_ENTRY}{_CUT[:5]}"
    )
    done = _recover(path, emulator)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{path}: sent 2 log entries, 2 cut off by a kill, 2 lines are no log entries\n"
    )
    path.write_text(f"starts\n{_CUT}")
    done = _recover(path, emulator)
    assert (
        done.stdout == f"{path}: sent 0 log entries, 1 cut off by a kill, 1 line is no log entry\n"
    )


def test_an_empty_path_is_refused(
    tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for the current folder; a file without lines has nothing to send."""
    monkeypatch.chdir(tmp_path)
    done = _recover("", emulator)
    assert (done.returncode, "'' is no path" in done.stderr) == (2, True), done.stderr
    (tmp_path / "empty").touch()
    done = _recover(tmp_path / "empty", emulator)
    assert (done.returncode, done.stderr) == (0, "")
