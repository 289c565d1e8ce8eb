"""Real uWSGI servers run the example; its own ledger is compared with what arrived."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import wait_until

from forklog.demo.modes import MODES, WORKERS, Mode, example_folder
from forklog.demo.server import Server
from forklog.demo.tally import Tally, compare, read_ledger, record_id
from forklog.emulator.process import Emulator

PROJECT = "uwsgi-tests"
BOOT = 4


class Example:
    """The example application in a uWSGI server of one mode."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self.ledger = folder / "ledger"
        self.server: Server | None = None

    def start(self, mode: Mode, ini: Path | None = None, options: tuple[str, ...] = ()) -> Server:
        """Start the server and wait until its workers are there."""
        self.server = Server.start(
            ini or example_folder() / mode.ini,
            self.folder,
            options=options,
            environ={
                "EXAMPLE_LEDGER": str(self.ledger),
                "GOOGLE_CLOUD_PROJECT": PROJECT,
                "LOGGING_EMULATOR_HOST": self.emulator.host,
            },
        )
        assert self.server.wait_ready(WORKERS, mode.loads)
        return self.server

    def ask(self, query: str) -> int:
        """Send one request; return the PID that answered."""
        assert self.server is not None
        with urllib.request.urlopen(f"{self.server.url}/?{query}", timeout=10) as answer:
            return int(json.loads(answer.read())["pid"])

    def ask_all(self, query: str = "records=5") -> set[int]:
        """Send requests until every worker has answered; return their PIDs."""
        assert self.server is not None
        workers = set(self.server.workers().values())
        answered: set[int] = set()

        def round_of_requests() -> bool:
            with ThreadPoolExecutor(2 * WORKERS) as pool:
                answered.update(pool.map(self.ask, [f"{query}&hold=0.05"] * 2 * WORKERS))
            return answered >= workers

        wait_until(round_of_requests, 30, f"answers of {workers}")
        return answered

    def tally(self) -> Tally:
        """Wait until everything in the ledger arrived, or for some seconds; compare."""
        wanted = set(read_ledger(self.ledger.read_text()))

        def has_arrived() -> bool:
            return wanted <= {record_id(e) for e in self.emulator.entries("", PROJECT)}

        with contextlib.suppress(AssertionError):  # the comparison says what is missing
            wait_until(has_arrived, 10)
        copies = [row["copies"] for row in self.emulator.duplicates()]
        return compare(
            read_ledger(self.ledger.read_text()), self.emulator.entries("", PROJECT), copies
        )


@pytest.fixture
def example(emulator: Emulator, tmp_path: Path) -> Iterator[Example]:
    """Return the example, to be started; its server is killed in the end."""
    running = Example(emulator, tmp_path)
    yield running
    if running.server is not None:
        running.server.kill()


def assert_perfect(tally: Tally, boot: int = BOOT) -> None:
    """Check that every record arrived exactly once, the boot records too."""
    assert (tally.lost, tally.duplicated, tally.strays) == (0, 0, 0), tally
    assert (tally.boot_delivered, tally.boot_logged) == (boot, boot), tally


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_record_of_every_worker_arrives_once(example: Example, mode: Mode) -> None:
    """In each mode all workers answer, and all records arrive once, boot records included."""
    example.start(mode)
    assert len(example.ask_all()) == WORKERS
    assert_perfect(example.tally(), BOOT * mode.loads)


@pytest.mark.parametrize("mode", [MODES["prefork"], MODES["no-master"]], ids=lambda m: m.name)
def test_boot_records_arrive_without_any_request(example: Example, mode: Mode) -> None:
    """A worker adopts the boot records as soon as it is forked, whether or not it ever logs."""
    example.start(mode)
    assert_perfect(example.tally())


def test_respawned_workers_deliver_and_do_not_adopt_again(example: Example) -> None:
    """After kill -9 of every worker the new ones deliver; the boot records do not come twice."""
    server = example.start(MODES["prefork"])
    old = example.ask_all()
    assert_perfect(example.tally())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(server.workers().values()) - old) == WORKERS, 20, "new workers")
    assert not example.ask_all() & old
    assert_perfect(example.tally())


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_sigterm_delivers_what_idle_workers_have_pending(example: Example, mode: Mode) -> None:
    """Records logged just before SIGTERM arrive, and every process ends by itself."""
    statistics = example.folder / "stats"
    server = example.start(mode, options=("--stats", str(statistics)))
    example.ask_all()
    for _ in range(2 * WORKERS):
        example.ask("records=3")
    # uWSGI runs no hook in a worker that is busy, and one is for a moment after its answer.
    wait_until(lambda: _are_idle(statistics), 5, "idle workers")
    assert server.end(signal.SIGTERM, timeout=20)
    assert_perfect(example.tally(), BOOT * mode.loads)


def test_sighup_reloads_without_losing_a_record(example: Example) -> None:
    """SIGHUP replaces all workers; old and new ones deliver, the app's boot records come again."""
    server = example.start(MODES["prefork"])
    old = example.ask_all()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: not set(server.workers().values()) & old, 30, "new workers")
    assert server.wait_ready(WORKERS, 2)
    assert not example.ask_all() & old
    assert_perfect(example.tally(), 2 * BOOT)


def test_an_idle_worker_delivers_within_max_latency(example: Example) -> None:
    """A record arrives while its worker sits in accept; no further request is needed."""
    example.start(MODES["prefork"])
    example.ask("records=1")
    assert_perfect(example.tally())


def test_a_server_that_is_away_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """With nobody listening every process still ends, and the entries are on stderr as JSON."""
    with Emulator.start() as emulator:
        example = Example(emulator, tmp_path)
        with example.start(MODES["prefork"]) as server:
            example.ask_all()
            assert_perfect(example.tally())
            emulator.stop()
            example.ask("records=8")
            assert server.end(signal.SIGTERM, timeout=20)
    lost = [json.loads(line) for line in server.output().splitlines() if '"insertId"' in line]
    last = read_ledger(example.ledger.read_text())[-8:]
    assert {record_id(entry) for entry in lost} >= set(last)


def _are_idle(statistics: Path) -> bool:
    """Ask uWSGI's statistics socket whether no worker is in a request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(statistics))
        data = b"".join(iter(lambda: client.recv(65536), b""))
    return all(worker["status"] == "idle" for worker in json.loads(data)["workers"])


def _variant(folder: Path, name: str, lines: str) -> Path:
    """Write a variant of prefork.ini."""
    text = (example_folder() / "prefork.ini").read_text()
    text = text.replace("%d", str(example_folder())).replace("enable-threads = true\n", "")
    ini = folder / f"{name}.ini"
    ini.write_text(text + lines)
    return ini


VARIANTS = {
    "threads": "enable-threads = true\nthreads = 3\n",
    "gevent": "enable-threads = true\ngevent = 20\n",
    "max-requests": "enable-threads = true\nmax-requests = 7\nmin-worker-lifetime = 0\n",
    "mules": "enable-threads = true\nmules = 2\n",
    "single-interpreter": "enable-threads = true\nsingle-interpreter = true\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_prefork(example: Example, tmp_path: Path, name: str) -> None:
    """Every record arrives once under the options that change threads, forks and lifetimes."""
    server = example.start(MODES["prefork"], _variant(tmp_path, name, VARIANTS[name]))
    if name == "max-requests":
        for _ in range(12 * WORKERS):
            example.ask("records=2")
        wait_until(lambda: "respawned" in server.output().lower(), 20, "a respawned worker")
    else:
        example.ask_all()
    assert_perfect(example.tally())
    assert server.end(signal.SIGTERM, timeout=20)


def test_a_hook_set_by_others_is_kept(example: Example, tmp_path: Path) -> None:
    """A post_fork_hook set before us still runs, and so does one of uwsgidecorators after us."""
    seen = tmp_path / "seen"
    (tmp_path / "hooked.py").write_text(
        "import os, uwsgi\n"
        f"def note(): open({str(seen)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "uwsgi.post_fork_hook = note\n"
        "from app import application\n"
        "import uwsgidecorators\n"
        "@uwsgidecorators.postfork\n"
        f"def late(): open({str(seen)!r}, 'a').write('late\\n')\n"
    )
    lines = f"enable-threads = true\npythonpath = {tmp_path}\nmodule = hooked\n"
    ini = _variant(tmp_path, "hooked", lines)
    ini.write_text(ini.read_text().replace("module = app\n", ""))
    server = example.start(MODES["prefork"], ini)
    workers = example.ask_all()
    assert_perfect(example.tally())
    assert workers == set(server.workers().values())
    assert seen.read_text().count("late") == WORKERS
