"""The examples, each run by the command that it shows, as it stands."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import few
from helpers import python_path, wait_until
from redis_server import redis_server

from forklog.emulator.process import Emulator

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = _ROOT / "examples"
_BIN = Path(sys.executable).parent
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def _commands(path: Path) -> list[str]:
    """Return the commands that the docstring of a module shows."""
    text = ast.get_docstring(ast.parse(path.read_text()), clean=False)
    assert text
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert commands
    return commands


def _environ(emulator: Emulator, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "GOOGLE_CLOUD_PROJECT": "examples",
        "GUNICORN_CMD_ARGS": "--bind=127.0.0.1:0",
        "LOGGING_EMULATOR_HOST": emulator.host,
        "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": python_path(),
        **more,
    }


@contextlib.contextmanager
def _serving(folder: Path, command: str, environ: dict[str, str], console: Path) -> Iterator[str]:
    """Run a server; give its URL."""
    with console.open("wb") as output:
        process = subprocess.Popen(
            shlex.split(command), cwd=folder, env=environ,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until(lambda: _ADDRESS.search(console.read_text()), 60, "the server")
        yield f"http://127.0.0.1:{_ADDRESS.findall(console.read_text())[0]}"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("name", few(["django", "fastapi", "flask"], "django"))
def test_a_request_is_grouped(emulator: Emulator, tmp_path: Path, name: str) -> None:
    """The records of a request and the request itself have one trace, and name the worker."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; the extra `test` has it")
    folder, console = _EXAMPLES / name, tmp_path / "console"
    (command,) = _commands(folder / "app.py")
    with _serving(folder, command, _environ(emulator), console) as url:
        for number in (1, 2):
            with urllib.request.urlopen(f"{url}/orders/{number}", timeout=30) as answer:
                assert answer.status == 200
    parents = emulator.entries('log_id("shop-requests")')
    assert len(parents) == 2
    for number, parent in enumerate(parents, 1):
        assert parent["severity"] == "WARNING"
        assert parent["httpRequest"]["requestUrl"].endswith(f"/orders/{number}")
        children = emulator.entries(f'trace="{parent["trace"]}" AND labels.python_logger="shop"')
        assert [c["textPayload"].partition(" is ")[0] for c in children] == [
            f"order {number}",
            f"order {number} has no address",
        ]
        assert {c["labels"]["process_id"] for c in children} == {parent["labels"]["process_id"]}


def test_structlog(emulator: Emulator) -> None:
    """The fields of structlog, and of its context variables, are in the payload."""
    pytest.importorskip("structlog", reason="the extra `test` has it")
    (command,) = _commands(_EXAMPLES / "structlog" / "app.py")
    folder = _EXAMPLES / "structlog"
    subprocess.run(shlex.split(command), cwd=folder, env=_environ(emulator), check=True, timeout=60)
    packed, warned = emulator.entries()
    assert packed["jsonPayload"] == {"message": "order is packed", "order": 17, "parcels": 2}
    assert warned["jsonPayload"] == {"message": "order has no address", "order": 17}
    assert warned["labels"]["team"] == "post"


@pytest.mark.long  # test_pages.py runs the same of the page
def test_rq(emulator: Emulator, tmp_path: Path) -> None:
    """The jobs' records arrive from the work horses, with the job's labels and bound fields."""
    # fakeredis answers CLIENT INFO in a way that redis-py does not understand.
    site = tmp_path / "sitecustomize.py"
    site.write_text(
        "import redis\nredis.Redis.client_info = lambda self, **_: {'addr': '127.0.0.1'}\n"
    )
    with redis_server() as port:
        environ = _environ(emulator, REDIS_PORT=str(port))
        environ["PYTHONPATH"] += f"{os.pathsep}{tmp_path}{os.pathsep}{_EXAMPLES / 'rq'}"
        for command in _commands(_EXAMPLES / "rq" / "jobs.py"):
            words = shlex.split(command.replace(":6379", f":{port}"))
            subprocess.run(
                words, cwd=_EXAMPLES / "rq", env=environ, check=True, timeout=100,
                capture_output=True,
            )  # fmt: skip
    entries = emulator.entries('labels.python_logger="shop"')
    assert sorted((e["jsonPayload"]["order"], e["jsonPayload"]["message"]) for e in entries) == [
        (number, f"order is {word}") for number in range(3) for word in ("packed", "sent")
    ]
    assert {e["labels"]["rq_job_name"] for e in entries} == {"jobs.pack"}
    assert len({e["trace"] for e in entries}) == 3
