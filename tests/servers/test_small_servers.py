"""Servers and workers for which forklog has no file of its own: Python's hooks are enough there.

The class of faults: an end that was never tried. Each runs with a `max_latency` that outlives the
test, so that what a process has pending can only arrive by a hook at its end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

pytestmark = pytest.mark.long  # each of a dozen servers takes one or two seconds

HERE = Path(__file__).parent / "apps"
PROJECT = "small"
REQUESTS = 5


def needs(module: str) -> pytest.MarkDecorator:
    """Skip where a server is not installed; the extra `test` names all of them."""
    is_missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(is_missing, reason=f"{module} is not installed")


class Small:
    """A process of the small application, and what arrived of it."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator and a folder for the files of this test."""
        self.emulator = emulator
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environ = {
            **os.environ,
            "SMALL_ENDPOINT": emulator.url,
            "SMALL_FOLDER": str(folder),
            "SMALL_QUEUE": str(folder / "queue.db"),
            "PYTHONPATH": os.pathsep.join([str(HERE), python_path()]),
            "no_proxy": "127.0.0.1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python with these arguments, as the leader of a session."""
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *(word.format(port=self.port) for word in arguments)],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def ask(self) -> str:
        """Send requests until so many were answered; return the last answer."""
        answers: list[str] = []

        def is_answered() -> bool:
            with contextlib.suppress(urllib.error.URLError, OSError):
                url = f"http://127.0.0.1:{self.port}/"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answers.append(answer.read().decode())
            return len(answers) >= REQUESTS

        wait_until(is_answered, 30, "answers")
        return answers[-1]

    def messages(self) -> list[str]:
        """Return the texts that arrived."""
        return [str(entry["textPayload"]) for entry in self.emulator.entries("", PROJECT)]

    def end(self, number: signal.Signals, *, is_group: bool = False) -> int:
        """Signal the process, or its group as a terminal does; return its status."""
        assert self.process is not None
        if is_group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def small(emulator: Emulator, tmp_path: Path) -> Iterator[Small]:
    """Return the application, to be started; its processes are killed in the end."""
    running = Small(emulator, tmp_path)
    yield running
    if running.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


WEB = [
    pytest.param(
        ("-m", "hypercorn", "-b", "127.0.0.1:{port}", "small_app:asgi"),
        "TERM INT",
        marks=needs("hypercorn"),
        id="hypercorn",
    ),
    pytest.param(
        ("-m", "waitress", "--listen=127.0.0.1:{port}", "small_app:application"),
        "INT",  # TERM has its default action there
        marks=needs("waitress"),
        id="waitress",
    ),
    pytest.param(
        ("-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "small_app:asgi"),
        "TERM INT",
        marks=needs("daphne"),
        id="daphne",
    ),
    *(
        pytest.param(
            ("-m", "granian", "--port", "{port}", "--workers", "2", "--interface", kind, name),
            "TERM INT",
            marks=needs("granian"),
            id=f"granian {kind}",
        )
        for kind, name in (("wsgi", "small_app:application"), ("asgi", "small_app:asgi"))
    ),
]


@pytest.mark.parametrize(("arguments", "signals"), WEB)
def test_web_servers(small: Small, arguments: tuple[str, ...], signals: str) -> None:
    """Every record of every request arrives when a signal has ended the server."""
    for number, name in enumerate(signals.split(), 1):
        small.start(*arguments)
        small.ask()
        small.end(signal.Signals[f"SIG{name}"])
        wanted = number * REQUESTS
        wait_until(lambda wanted=wanted: len(small.messages()) >= wanted, 20, f"SIG{name}")
        assert len(small.messages()) == wanted


@needs("hypercorn")
def test_hypercorn_with_workers(small: Small) -> None:
    """Every record arrives, if need be by the spool.

    When the first worker has ended hypercorn terminates the others. Their event loops have put back
    the default action of SIGTERM by then, so their exit hooks do not always end.
    """
    folder = small.folder / "spool"
    small.environ["SMALL_SPOOL"] = str(folder)
    recover = [sys.executable, "-m", "forklog", "recover", str(folder), "--endpoint"]
    for number, name in enumerate(("TERM", "INT"), 1):
        small.start("-m", "hypercorn", "-w", "2", "-b", "127.0.0.1:{port}", "small_app:asgi")
        small.ask()
        small.end(signal.Signals[f"SIG{name}"])

        def have_arrived(wanted: int = number * REQUESTS) -> bool:
            subprocess.run(
                [*recover, small.emulator.url], env=small.environ, capture_output=True, check=False
            )
            return len(small.messages()) >= wanted

        wait_until(have_arrived, 20, f"SIG{name}")
        assert len(small.messages()) == number * REQUESTS


@needs("dramatiq")
@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_dramatiq(small: Small, name: str) -> None:
    """Worker processes deliver their last record, which they log while they end."""
    code = "import sys; from dramatiq.cli import main; sys.exit(main())"
    small.start("-c", code, "-p", "2", "-t", "1", "small_dramatiq")
    wait_until(lambda: "Worker process is ready" in output(small, 2), 30, "two workers")
    small.end(signal.Signals[f"SIG{name}"])
    wait_until(lambda: len(small.messages()) == 4, 20, "first and last records")
    assert sum("ends" in message for message in small.messages()) == 2


def output(small: Small, times: int) -> str:
    """Return what was printed, once a line about workers is there so many times."""
    text = (small.folder / "output").read_text()
    return text if text.count("Worker process is ready") >= times else ""


@needs("huey")
@pytest.mark.parametrize("name", ["TERM", "INT"])
@pytest.mark.parametrize("kind", ["process", "thread", "greenlet"])
def test_huey(small: Small, kind: str, name: str) -> None:
    """The consumer's workers deliver what their jobs logged."""
    code = "from huey.bin.huey_consumer import consumer_main as run; run()"
    small.start("-c", code, "small_huey.huey", "-w", "2", "-k", kind)
    subprocess.run(
        [sys.executable, str(HERE / "small_huey.py"), "6"], env=small.environ, check=True
    )
    wait_until(lambda: (small.folder / "output").read_text().count("executed in") == 6, 30)
    small.end(signal.Signals[f"SIG{name}"])
    wait_until(lambda: len(small.messages()) == 6, 20, "the records of all jobs")


@needs("joblib")
def test_joblib(small: Small) -> None:
    """Workers of loky, joblib's default, deliver; those of its pools are terminated, see there."""
    code = (
        "from joblib import Parallel, delayed; from small_app import work\n"
        "pids = Parallel(n_jobs=2)(delayed(work)(n) for n in range(8)); print(len(set(pids)))"
    )
    assert small.start("-c", code).wait(60) == 0, (small.folder / "output").read_text()
    wait_until(lambda: len(small.messages()) == 8, 20, "the records of all jobs")


@needs("joblib")
def test_joblib_on_multiprocessing(small: Small) -> None:
    """Its pool is terminated, which runs no hook: what a worker had sent by then has arrived.

    The workers flush themselves here; docs/process-models.md says what is lost without that.
    """
    code = (
        "from joblib import Parallel, delayed; from small_app import work_and_flush\n"
        "if __name__ == '__main__':\n"
        "    call = delayed(work_and_flush)\n"
        "    Parallel(n_jobs=2, backend='multiprocessing')(call(n) for n in range(8))"
    )
    assert small.start("-c", code).wait(60) == 0, (small.folder / "output").read_text()
    wait_until(lambda: len(small.messages()) == 8, 20, "the records of all jobs")


@needs("distributed")
def test_a_local_cluster_of_dask(small: Small) -> None:
    """The processes of its workers deliver at their ends, which the cluster's close brings."""
    (small.folder / "cluster.py").write_text(
        "from distributed import Client, LocalCluster\n"
        "from small_app import work\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as own:\n"
        "        with Client(own) as client:\n"
        "            print(len(set(client.gather(client.map(work, range(6), pure=False)))))\n"
    )
    assert small.start("cluster.py").wait(90) == 0, (small.folder / "output").read_text()
    wait_until(lambda: len(small.messages()) == 6, 20, "the records of all tasks")


@pytest.mark.parametrize("how", ["a change", "Ctrl-C"])
def test_djangos_development_server(small: Small, how: str) -> None:
    """The process that serves delivers when a file changed, and when the terminal ends both."""
    touched = small.folder / "touched.py"
    touched.write_text("value = 1\n")
    small.start(str(HERE / "small_django.py"), "runserver", "{port}")
    first = small.ask()
    if how == "a change":

        def has_delivered() -> bool:
            # Again and again: the server compares with what it saw at its last look, once a second.
            os.utime(touched, (time.time(),) * 2)
            return len(small.messages()) >= REQUESTS

        wait_until(has_delivered, 60, "the records of the first process")
        # The thread that serves goes on answering while the process runs its exit hooks.
        wait_until(lambda: first not in small.ask(), 60, "another process")
    else:
        small.end(signal.SIGINT, is_group=True)
        wait_until(lambda: len(small.messages()) == REQUESTS, 20, "its records")
