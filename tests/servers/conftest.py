"""The example application under a server, its ledger, and what of it arrived."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from helpers import are_workers_idle, python_path, wait_until
from packages import need_uwsgi

from forklog.demo.modes import WORKERS, Mode, example_folder
from forklog.demo.server import Server
from forklog.demo.tally import compare, read_ledger, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator.process import Emulator

PROJECT = "server-tests"
BOOT = 4
"""Records that the example logs each time it is imported."""
HERE = Path(__file__).parent / "apps"

sys.path.insert(0, str(HERE))  # for `gunicorn_site`; test folders are no packages


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
        self.server: Server | None = None
        self.mule = HERE / "uwsgi_mule.py"

    def start_uwsgi(self, workers: int, lines: str, loads: int = 1) -> Server:
        """Start uWSGI with so many workers and these lines in its configuration."""
        need_uwsgi()
        ini = self.folder / "server.ini"
        ini.write_text(
            "[uwsgi]\nneed-app = true\nstrict = true\ndie-on-term = true\ndisable-logging = true\n"
            f"processes = {workers}\nstats = {self.folder}/stats\n{lines}"
        )
        server = Server.start(ini, self.folder, environ=self.environ)
        self.server = server
        assert server.wait_ready(workers, loads), server.output()
        return server

    def start_example(self, mode: Mode) -> Server:
        """Start uWSGI with one of the example's own configurations."""
        options = ("--stats", str(self.folder / "stats"))
        ini = example_folder() / mode.ini
        need_uwsgi()
        server = Server.start(ini, self.folder, options=options, environ=self.environ)
        self.server = server
        assert server.wait_ready(WORKERS, mode.loads), server.output()
        return server

    def wait_idle(self) -> None:
        """Wait until no uWSGI worker is in a request: it would run no hook at its end."""
        wait_until(lambda: are_workers_idle(self.folder / "stats"), 20, "idle workers")

    def end_uwsgi(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """Signal an idle uWSGI, and check that all of its processes end by themselves."""
        assert self.server is not None
        self.wait_idle()
        assert self.server.end(number, seconds), self.server.output()

    def ask(self, query: str) -> int:
        """Send one request; return the PID that answered."""
        assert self.server is not None
        with urllib.request.urlopen(f"{self.server.url}/?{query}", timeout=20) as answer:
            return int(json.loads(answer.read())["pid"])

    @contextlib.contextmanager
    def in_request(self, query: str) -> Iterator[None]:
        """Have a worker in a request while the block runs; its answer does not matter.

        The query has to ask for records; the block begins once they are written down.
        """
        assert self.server is not None
        host, port = self.server.url.removeprefix("http://").split(":")
        count = self.written().count("request-")
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(f"GET /?{query} HTTP/1.0\r\n\r\n".encode())
            wanted = count + int(parse_qs(query)["records"][0])
            wait_until(lambda: self.written().count("request-") >= wanted, 20, "its records")
            yield

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

    def written(self) -> str:
        """Return the ledger."""
        return self.ledger.read_text()

    def pending(self) -> set[str]:
        """Return the ids of what is in the ledger and has not arrived."""
        return set(read_ledger(self.ledger.read_text())) - self._arrived()

    def _arrived(self) -> set[str]:
        return {str(record_id(entry)) for entry in self.emulator.entries("", PROJECT)}

    def _is_even(self) -> bool:
        """Tell whether ledger and emulator have the same: a call is noted after it has returned."""
        return self._arrived() == set(read_ledger(self.ledger.read_text()))

    def check_every_record_once(self, loads: int = 1) -> None:
        """Check that all in the ledger arrived once, with those of so many imports."""
        try:
            wait_until(self._is_even, 20)
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
