"""Runs an application with a spool under a server, kills its processes; gives what it logged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import python_path, wait_until

from forklog.demo.processes import group_members, is_running
from forklog.demo.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forklog.emulator.process import Emulator

APPS = Path(__file__).resolve().parents[1] / "servers" / "apps"
PATIENCE = 60
"""Seconds for what takes a moment on a quiet machine."""


class KilledSite:
    """What was logged, in which processes, and what of it is shown."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator to send to and a folder for the files of this test."""
        self.emulator = emulator
        self.folder = folder
        self.spool = folder / "spool"
        self.ledger = folder / "ledger"
        self.console = folder / "console"
        self.url = ""
        self.environ = {
            "KILLED_FOLDER": str(self.spool),
            "KILLED_LEDGER": str(self.ledger),
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
        }
        self.killed = 0
        """Processes that may have logged a record that they did not write down."""
        self.server: Server | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start_uwsgi(self, lines: str = "", workers: int = 2, loads: int = 1) -> Server:
        """Start uWSGI with so many workers and these lines in its configuration."""
        ini = self.folder / "server.ini"
        ini.write_text(
            "[uwsgi]\nmodule = killed_app\nmaster = true\nneed-app = true\nstrict = true\n"
            f"die-on-term = true\ndisable-logging = true\nprocesses = {workers}\n{lines}"
        )
        server = Server.start(ini, self.folder, environ=self.environ)
        self.server, self.url = server, server.url
        assert server.wait_ready(workers, loads), server.output()
        return server

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program, the leader of a process group of its own."""
        with self.console.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environ},
                start_new_session=True,
            )
        return self._process

    def call(self, *command: str) -> None:
        """Run a program to its end."""
        environ = {**os.environ, **self.environ}
        call = [sys.executable, *command]
        subprocess.run(call, cwd=self.folder, env=environ, check=True, timeout=PATIENCE)

    @property
    def pid(self) -> int:
        """The PID of the server's first process."""
        process = self.server or self._process
        assert process is not None
        return process.pid

    def output(self) -> str:
        """Return all that the server has printed so far."""
        if self.server is not None:
            return self.server.output()
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def children(self) -> list[int]:
        """Return the PIDs of the server's other processes that run."""
        return [pid for pid in group_members(self.pid) if pid != self.pid and is_running(pid)]

    def ask(self, query: str = "records=3") -> int | None:
        """Send one request; return the PID that answered, None if its process has died."""
        try:
            with urllib.request.urlopen(f"{self.url}/?{query}", timeout=PATIENCE) as answer:
                return int(json.loads(answer.read())["pid"])
        except urllib.error.HTTPError as error:
            error.close()
        except (OSError, HTTPException):
            pass
        return None

    @contextlib.contextmanager
    def under_load(self, query: str = "records=20&hold=0.02", clients: int = 3) -> Iterator[None]:
        """Have clients send requests, one after another, until the end of the block."""
        is_over = threading.Event()

        def work() -> None:
            while not is_over.is_set():
                if self.ask(query) is None:
                    is_over.wait(0.01)

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def kill(self, pids: Sequence[int]) -> None:
        """Kill processes, and wait until none is left."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed += 1
        wait_until(lambda: not any(map(is_running, pids)), PATIENCE, f"{pids} killed")

    def kill_all(self) -> None:
        """Kill all processes of the server at once, as the end of a container does."""
        pids = group_members(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.killed += len(pids)
        if self._process is not None:
            self._process.wait()
        if self.server is not None:
            self.server.kill()
        wait_until(lambda: not any(map(is_running, pids)), PATIENCE, f"{pids} killed")

    def logged(self) -> list[str]:
        """Return the texts of all records whose log call has returned."""
        return self.ledger.read_text().split() if self.ledger.exists() else []

    def wait_logged(self, number: int) -> None:
        """Wait until so many log calls have returned."""
        wait_until(lambda: len(self.logged()) >= number, PATIENCE, f"{number} records")

    def shown(self) -> Counter[str]:
        """Return the texts of what arrived, as a reader sees it."""
        return Counter(str(entry["textPayload"]) for entry in self.emulator.entries(""))

    def check(self, seconds: float = 30) -> Counter[str]:
        """Check that each record whose log call has returned is shown once, and no other."""
        missing: set[str] = set()

        def has_arrived() -> bool:
            """Read what was logged first: a slow worker may log at its import meanwhile."""
            missing.clear()
            missing.update(set(self.logged()) - self.shown().keys())
            return not missing

        with contextlib.suppress(AssertionError):
            wait_until(has_arrived, seconds)
        kinds = Counter(text.split("-")[0] for text in missing)
        left = sorted(path.name for path in self.spool.iterdir()) if self.spool.exists() else []
        assert not missing, f"{kinds} missing; {left}\n{self.output()}"
        shown = self.shown()
        logged = set(self.logged())
        assert set(shown.values()) <= {1}, shown.most_common(3)
        # Killed after the log call had returned, and before it was written down.
        assert len(shown.keys() - logged) <= self.killed
        return shown
