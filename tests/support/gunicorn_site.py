"""Runs an example under gunicorn for a test; counts what it logged, and what of that arrived."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import python_path, wait_until

from forklog.demo.processes import is_running
from forklog.demo.tally import read_ledger, record_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator.process import Emulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 60
"""Seconds for what takes a moment on a quiet machine."""

_LISTENS = re.compile(r"Listening at: (http://\S+) \((\d+)\)")
_BOOTED = re.compile(r"Booting worker with pid: (\d+)")
_SERVER_LINE = re.compile(r"^\d+ ((?:gunicorn|uvicorn)\.\w+): (.*)$", re.MULTILINE)
_FORK_WARNING = "use of fork() may lead to deadlocks"


class GunicornSite:
    """An example in a running gunicorn; the arbiter leads a process group of its own.

    What the application logged is known from its ledger. What gunicorn and uvicorn logged is known
    from the console that the example's configuration gives them too.
    """

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator to send to and a folder for the files of this test."""
        self.emulator = emulator
        self.folder = folder
        self.ledger = folder / "ledger"
        self.console = folder / "console"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *options: str,
        app: str = "app:application",
        example: str = "gunicorn",
        config: Path = EXAMPLES / "gunicorn" / "gunicorn.conf.py",
        control: bool = False,
    ) -> None:
        """Start gunicorn on a free port and wait until it listens.

        Its control socket starts a thread in the arbiter, which is at fault for Python's warning
        at every later fork. So it is off unless asked for.
        """
        # Not with -m: at an upgrade gunicorn runs sys.argv again.
        script = Path(sys.executable).with_name("gunicorn")
        call = [sys.executable, str(script), "--config", str(config)]
        call += ["--bind", "127.0.0.1:0", *options]
        call += [f"--control-socket={self.folder}/ctl"] if control else ["--no-control-socket"]
        with self.console.open("wb") as output:
            self._process = subprocess.Popen(
                [*call, app],
                cwd=EXAMPLES / example,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self._environ()},
                start_new_session=True,
            )
        wait_until(lambda: self.has_ended() or self.arbiters(), PATIENCE)
        assert self.arbiters(), self.output()
        self.url = _LISTENS.findall(self.output())[0][0]
        if control:  # its thread says so; a dictConfig at that moment may find it without handlers
            wait_until(lambda: "Control socket listening" in self.output(), PATIENCE, self.output())

    def _environ(self) -> dict[str, str]:
        return {
            "EXAMPLE_LEDGER": str(self.ledger),
            "GOOGLE_CLOUD_PROJECT": "gunicorn-tests",
            "LOGGING_EMULATOR_HOST": self.emulator.host,
            "PYTHONPATH": python_path(),
            "PYTHONWARNINGS": "always::DeprecationWarning",
        }

    @property
    def pid(self) -> int:
        """The PID of the first arbiter."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """Return all that the server printed so far."""
        return self.console.read_text(errors="replace")

    def arbiters(self) -> list[int]:
        """Return the PIDs of all arbiters that have listened, in their order."""
        return [int(pid) for _, pid in _LISTENS.findall(self.output())]

    def workers(self) -> list[int]:
        """Return the PIDs of all workers that were ever started, in their order."""
        return [int(pid) for pid in _BOOTED.findall(self.output())]

    def has_ended(self) -> bool:
        """Tell whether the first arbiter has ended."""
        return self._process is None or self._process.poll() is not None

    def ask(self, query: str = "records=3") -> int:
        """Send one request; return the PID that answered."""
        with urllib.request.urlopen(f"{self.url}/?{query}", timeout=PATIENCE) as answer:
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
            raise AssertionError(f"{pid} answered")

    def ask_until(self, condition: Callable[[set[int]], bool]) -> set[int]:
        """Send requests, four at a time, until the set of PIDs that answered satisfies."""
        answered: set[int] = set()

        def ask(query: str) -> int | None:
            try:
                return self.ask(query)
            except urllib.error.HTTPError:
                raise
            except (ConnectionError, urllib.error.URLError):
                return None  # a worker that ends resets connections that it has not accepted yet

        def has_enough() -> bool:
            with ThreadPoolExecutor(4) as pool:
                answered.update(filter(None, pool.map(ask, ["records=3&hold=0.05"] * 4)))
            return condition(answered)

        wait_until(has_enough, PATIENCE, f"more than {answered}\n{self.output()}")
        return answered

    def end(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal to an arbiter and wait until it has ended."""
        arbiter = pid or self.pid
        os.kill(arbiter, number)
        wait_until(lambda: self.has_ended() and not is_running(arbiter), PATIENCE, self.output())

    def kill(self) -> None:
        """Kill all of its processes."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def logged(self) -> Counter[tuple[str, str]]:
        """Return logger and text of each record of the servers, "shop" and id of the others."""
        ids = read_ledger(self.ledger.read_text())
        return Counter(_SERVER_LINE.findall(self.output())) + Counter(
            ("shop", name) for name in ids
        )

    def arrived(self) -> Counter[tuple[str, str]]:
        """Return the same of what arrived."""
        return Counter(map(_name, self.emulator.entries()))

    def last_resort(self) -> Counter[tuple[str, str]]:
        """Return the same of what was given up and written to stderr."""
        lines = re.findall(r'^\{"insertId".*', self.output(), re.MULTILINE)
        return Counter(_name(json.loads(line)) for line in lines)

    def check(self) -> Counter[tuple[str, str]]:
        """Check that all that was logged arrives, once, and nothing else; return it."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.logged() - self.arrived(), 20)
        wanted, arrived = self.logged(), self.arrived()
        assert not wanted - arrived, f"lost: {wanted - arrived}\n{self.output()}"
        assert not arrived - wanted, f"too many: {arrived - wanted}\n{self.output()}"
        assert self.emulator.duplicates() == []
        assert "Exception ignored" not in self.output(), self.output()
        return arrived

    def check_no_fork_warning(self) -> None:
        """Check that no thread of ours made Python warn at a fork."""
        assert _FORK_WARNING not in self.output()


def _name(entry: dict[str, Any]) -> tuple[str, str]:
    logger = entry["labels"]["python_logger"]
    if logger == "shop":
        return logger, str(record_id(entry))
    return logger, str(entry.get("textPayload")).partition("\n")[0]


def import_records(arrived: Counter[tuple[str, str]]) -> int:
    """Count the records that the application logged while it was imported."""
    return sum(name.startswith("boot-") for logger, name in arrived if logger == "shop")
