"""Takes programs from pages of the documentation, writes them to files, runs them as they are."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from helpers import python_path, wait_until

from forklog.emulator.process import Emulator

DOCS = Path(__file__).resolve().parents[2] / "docs"
PORT = "8000"
"""The port that the pages name; a test runs on a free one."""
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
_PATIENCE = 60
Entry = dict[str, Any]


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    title: str
    """The file that it is; empty if it is a command."""
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks that have a language; the others show output."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


class Program:
    """The files and commands of a page, in a folder, on a free port."""

    def __init__(self, page: Path, folder: Path, emulator: Emulator, **environ: str) -> None:
        """Write the files."""
        self.port = _free_port()
        self.folder = folder
        blocks = blocks_of(page)
        for block in blocks:
            if block.title:
                (folder / block.title).write_text(self._moved(block.text))
        lines = [ln for b in blocks if b.language == "sh" for ln in b.text.splitlines() if ln]
        self.commands = [self._moved(line) for line in lines]
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("UWSGI_")},
            "GOOGLE_CLOUD_PROJECT": "pages",
            "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{self.port}",
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": python_path(),
            "UVICORN_PORT": str(self.port),
            **environ,
        }

    def _moved(self, text: str) -> str:
        return re.sub(rf"\b{PORT}\b", str(self.port), text)

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[Path]:
        """Run a command that goes on; give the file that it prints to. TERM ends it."""
        console = self.folder / "console"
        with console.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.environ, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield console
            process.terminate()
            process.wait(_PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextlib.contextmanager
    def serving(self, command: str) -> Iterator[str]:
        """Run a server; give its URL once it answers."""
        with self.running(command) as console:
            wait_until(self._listens, _PATIENCE, console.read_text())
            yield f"http://127.0.0.1:{self.port}"

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def run(self, command: str) -> str:
        """Run a command to its end; return what it printed."""
        done = subprocess.run(
            shlex.split(command), cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def get(url: str) -> bytes:
    """Return the body of an answer with status 200."""
    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
        assert answer.status == 200
        return bytes(answer.read())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
