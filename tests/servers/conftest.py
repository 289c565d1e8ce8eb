"""The example application under a server, its ledger, and what of it arrived."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until

from forklog.demo.modes import example_folder
from forklog.demo.server import Server
from forklog.demo.tally import compare, read_ledger, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator.process import Emulator

PROJECT = "server-tests"
BOOT = 4
"""Records that the example logs each time it is imported."""
HERE = Path(__file__).parent

_LISTENS = re.compile(r"Listening at: (http://\S+)")
_BOOTED = re.compile(r"Booting worker with pid: (\d+)")


class Gunicorn:
    """A running gunicorn, with the same face as `forklog.demo.server.Server` for uWSGI."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Take an arbiter just started, which prints to ``log``, and wait until it listens."""
        self.pid = process.pid
        self._process = process
        self._log = log
        wait_until(lambda: self.has_ended() or _LISTENS.search(self.output()), 20)
        found = _LISTENS.search(self.output())
        assert found, self.output()
        self.url = found[1]

    def output(self) -> str:
        """Return all that it printed so far."""
        return self._log.read_text(errors="replace")

    def workers(self) -> dict[int, int]:
        """Return the PIDs of all workers that it has ever started."""
        return dict(enumerate(map(int, _BOOTED.findall(self.output()))))

    def has_ended(self) -> bool:
        """Tell whether the arbiter has ended."""
        return self._process.poll() is not None

    def end(self, number: signal.Signals, timeout: float) -> bool:
        """Send a signal to the arbiter; return whether it ended in time."""
        self._process.send_signal(number)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Site:
    """The example application under a server of some kind."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator to send to and a folder for the files of this test."""
        self.emulator = emulator
        self.folder = folder
        self.ledger = folder / "ledger"
        self.environ = {
            "EXAMPLE_LEDGER": str(self.ledger),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "LOGGING_EMULATOR_HOST": emulator.host,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(example_folder()), python_path()]),
        }
        self.server: Server | Gunicorn | None = None

    def start_uwsgi(self, workers: int, lines: str, loads: int = 1) -> Server:
        """Start uWSGI with so many workers and these lines in its configuration."""
        ini = self.folder / "server.ini"
        ini.write_text(
            "[uwsgi]\nneed-app = true\nstrict = true\ndie-on-term = true\ndisable-logging = true\n"
            f"processes = {workers}\nstats = {self.folder}/stats\n{lines}"
        )
        server = Server.start(ini, self.folder, environ=self.environ)
        self.server = server
        assert server.wait_ready(workers, loads), server.output()
        return server

    def wait_idle(self) -> None:
        """Wait until no uWSGI worker is in a request.

        One is for a moment after its answer, and uWSGI runs no hook if it has to end then.
        """

        def are_idle() -> bool:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.folder / "stats"))
                data = b"".join(iter(lambda: client.recv(65536), b""))
            return all(worker["status"] == "idle" for worker in json.loads(data)["workers"])

        wait_until(are_idle, 20, "idle workers")

    def end_uwsgi(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """Signal an idle uWSGI, and check that all of its processes end by themselves."""
        assert isinstance(self.server, Server)
        self.wait_idle()
        assert self.server.end(number, seconds), self.server.output()

    def start_gunicorn(self, *options: str, app: str = "app:application") -> Gunicorn:
        """Start gunicorn with these options."""
        log = self.folder / "gunicorn.log"
        call = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", *options, app]
        with log.open("wb") as output:
            process = subprocess.Popen(
                call,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environ},
                start_new_session=True,
            )
        try:
            self.server = Gunicorn(process, log)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return self.server

    def ask(self, query: str) -> int:
        """Send one request; return the PID that answered."""
        assert self.server is not None
        with urllib.request.urlopen(f"{self.server.url}/?{query}", timeout=20) as answer:
            return int(json.loads(answer.read())["pid"])

    def ask_in_vain(self, query: str) -> None:
        """Send one request that gets no answer, or that of an error."""
        try:
            pid = self.ask(query)
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            pytest.fail(f"{pid} answered")

    def ask_until(
        self, condition: Callable[[set[int]], bool], query: str = "records=3"
    ) -> set[int]:
        """Send requests, eight at a time, until the set of PIDs that answered satisfies."""
        answered: set[int] = set()

        def has_enough() -> bool:
            with ThreadPoolExecutor(8) as pool:
                answered.update(pool.map(self.ask, [f"{query}&hold=0.05"] * 8))
            return condition(answered)

        wait_until(has_enough, 40, f"more than {answered}")
        return answered

    def pending(self) -> set[str]:
        """Return the ids of what is in the ledger and has not arrived."""
        wanted = set(read_ledger(self.ledger.read_text()))
        return wanted - {str(record_id(e)) for e in self.emulator.entries("", PROJECT)}

    def check_every_record_once(self, loads: int = 1) -> None:
        """Check that all in the ledger arrived once, with the boot records of so many imports."""
        try:
            wait_until(lambda: not self.pending(), 10)
        except AssertionError:
            print(self.server.output() if self.server else "")  # noqa: T201 - for the one who looks
        copies = [row["copies"] for row in self.emulator.duplicates()]
        entries = self.emulator.entries("", PROJECT)
        tally = compare(read_ledger(self.ledger.read_text()), entries, copies)
        assert (tally.lost, tally.duplicated, tally.strays) == (0, 0, 0), tally
        assert (tally.boot_delivered, tally.boot_logged) == (BOOT * loads, BOOT * loads), tally


@pytest.fixture
def site(emulator: Emulator, tmp_path: Path) -> Iterator[Site]:
    """Return the application, to be started; its server is killed in the end."""
    running = Site(emulator, tmp_path)
    yield running
    if running.server is not None:
        running.server.kill()
