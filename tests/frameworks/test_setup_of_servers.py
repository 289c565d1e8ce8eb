"""`forklog.setup` under real servers whose loggers keep their records to themselves."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import python_path, wait_until

from forklog.emulator.process import Emulator

APPS = Path(__file__).parent / "apps"
TASKS = 5


def _environ(emulator: Emulator, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "EXAMPLE_BROKER": str(folder / "broker"),
        "GOOGLE_CLOUD_PROJECT": "setup",
        "LOGGING_EMULATOR_HOST": emulator.host,
        "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
    }


@contextlib.contextmanager
def _running(emulator: Emulator, folder: Path, *command: str) -> Iterator[Path]:
    console = folder / "console"
    with console.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=_environ(emulator, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield console
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.long
def test_celery(emulator: Emulator, tmp_path: Path) -> None:
    """Records of `get_task_logger` arrive, at celery's default level; its console has no more."""
    with _running(emulator, tmp_path, "-m", "celery", "-A", "celery_setup", "worker", "-c", "1"):
        script = [sys.executable, str(APPS / "celery_setup.py"), str(TASKS)]
        subprocess.run(script, env=_environ(emulator, tmp_path), cwd=tmp_path, check=True)
        own = 'labels.python_logger="celery_setup"'
        wait_until(lambda: len(emulator.entries(own)) >= TASKS, 60, "the records of all tasks")
    entries = emulator.entries(own)
    assert sorted(e["textPayload"] for e in entries) == [f"task {n}" for n in range(TASKS)]
    assert {e["labels"]["celery_task_name"] for e in entries} == {"shop.greet"}
    assert "task 0" not in (tmp_path / "console").read_text()
    assert emulator.duplicates() == []


def _ask(console: Path, *paths: str) -> str:
    """Wait for the server, ask it; return its address."""
    address = re.compile(r"(http://127\.0\.0\.1:\d+)")
    wait_until(lambda: address.search(console.read_text()), 60, "the server")
    url: str = address.findall(console.read_text())[0]
    for path in paths:
        try:
            urllib.request.urlopen(url + path, timeout=20).close()
        except urllib.error.HTTPError as error:  # noqa: PERF203 - of one request
            error.close()  # Python 3.14 warns where it is left open
    return url


def test_uvicorn_that_is_run_after_the_call(emulator: Emulator, tmp_path: Path) -> None:
    """`uvicorn.run` configures logging after `setup`: quiet requests and its loggers arrive.

    Closes: no entry of a request, no access line and no traceback until a record of another logger.
    """
    with _running(emulator, tmp_path, str(APPS / "uvicorn_run.py")) as console:
        _ask(console, "/quiet", "/quiet", "/fail")
        wait_until(lambda: len(emulator.entries()) >= 7, 30, "the entries")
    parents = emulator.entries('log_id("python-requests")')
    assert [p["httpRequest"]["status"] for p in parents] == [200, 200, 500]
    children = emulator.entries('log_id("python") AND trace:"traces"')
    lines = [c["textPayload"] for c in children if "GET /" in c["textPayload"]]
    assert [line.rpartition(" ")[2] for line in lines] == ["200", "200", "500"]
    assert any("RuntimeError: of the application" in c["textPayload"] for c in children)
    assert emulator.duplicates() == []


def test_django_whose_settings_make_the_call(emulator: Emulator, tmp_path: Path) -> None:
    """Django configures logging after its settings: quiet requests and `django.server` arrive."""
    command = ("-m", "gunicorn", "--config=python:gunicorn_conf", "early_django:application")
    with _running(emulator, tmp_path, *command) as console:
        _ask(console, "/quiet", "/quiet", "/server")
        wait_until(lambda: len(emulator.entries('"of the server"')) >= 1, 30, "the record")
    parents = emulator.entries('log_id("python-requests")')
    paths = [p["httpRequest"]["requestUrl"].rpartition("/")[2] for p in parents]
    assert paths == ["quiet", "quiet", "server"]
    assert [e["trace"] for e in emulator.entries('"of the server"')] == [parents[2]["trace"]]


def test_uvicorn(emulator: Emulator, tmp_path: Path) -> None:
    """Uvicorn's access lines and tracebacks arrive, and the request itself, in one trace."""
    with _running(emulator, tmp_path, "-m", "uvicorn", "uvicorn_setup:app", "--port=0") as console:
        url = _ask(console, "/?a=b", "/fail")
        parents = 'log_id("python-requests")'
        wait_until(lambda: len(emulator.entries(parents)) >= 2, 30, "the requests")
    first, second = emulator.entries(parents)
    assert (first["severity"], second["severity"]) == ("WARNING", "ERROR")
    assert first["httpRequest"]["requestUrl"] == f"{url}/?a=b"
    assert first["httpRequest"]["status"] == 404
    assert second["httpRequest"]["status"] == 500
    assert first["trace"] != second["trace"]
    children = emulator.entries(f'trace="{second["trace"]}" AND log_id("python")')
    assert {c["labels"]["python_logger"] for c in children} == {"uvicorn.access", "uvicorn.error"}
    assert any("RuntimeError: of the application" in c["textPayload"] for c in children)
    own = emulator.entries('textPayload="in the application"')
    assert [e["trace"] for e in own] == [first["trace"]]
    for entry in (first, *own):
        assert int(entry["labels"]["process_id"]) > 1
        assert entry["labels"]["host"]
        assert entry["labels"]["process_name"] == "MainProcess"
