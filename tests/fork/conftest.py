"""A ledger and an emulator around a body that forks in an interpreter of its own."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import check_python, python_path, wait_until

if TYPE_CHECKING:
    import subprocess

    from forklog.emulator.process import Emulator

HERE = Path(__file__).parent
_ID = re.compile(r"id=(\w+).*")


class Forks:
    """Runs bodies that import `stage`, and compares what they logged with what arrived."""

    def __init__(self, emulator: Emulator, ledger: Path) -> None:
        """Take the emulator that the bodies send to and the file that they write to."""
        self.emulator = emulator
        self.ledger = ledger

    def run(
        self, body: str, timeout: float = 60, latency: float = 0.05
    ) -> subprocess.CompletedProcess[str]:
        """Run a body to its end in a fresh interpreter.

        Its coverage is not counted: dozens of children run the same lines, which others run as
        well. Each would take a third of a second to write its file.
        """
        environment = {
            "LOGGING_EMULATOR_HOST": self.emulator.host,
            "FORKLOG_TEST_LEDGER": str(self.ledger),
            "FORKLOG_TEST_LATENCY": str(latency),
            "PYTHONPATH": os.pathsep.join([str(HERE), python_path()]),
        }
        return check_python(body, timeout, environment, is_covered=False)

    def logged(self) -> dict[str, int]:
        """Return the PID that logged each id."""
        lines = map(str.split, self.ledger.read_text().splitlines())
        return {name: int(pid) for pid, name in lines}

    def arrived(self) -> Counter[str]:
        """Count the arrivals of each id or text, and the repeated ones, which are not shown."""
        texts = [entry.get("textPayload", "") for entry in self.emulator.entries()]
        counts = Counter(_ID.sub(r"\1", text) for text in texts)
        return counts + Counter({"repeated": self.emulator.stats()["duplicates"]})

    def check_every_record_once(self, processes: int | None = None, besides: str = "") -> None:
        """Check that each record arrived exactly once, and how many processes logged.

        Args:
            processes: that have logged, in all.
            besides: a text that may arrive or not.
        """
        logged = self.logged()
        assert processes in (None, len(set(logged.values())))
        wait_until(lambda: set(logged) <= set(self.arrived()), 10, f"{len(logged)} records")
        arrived = self.arrived()
        del arrived[besides]
        assert arrived == Counter(dict.fromkeys(logged, 1))


@pytest.fixture
def forks(emulator: Emulator, tmp_path: Path) -> Forks:
    """Return the runner of bodies, with an empty emulator and ledger."""
    return Forks(emulator, tmp_path / "ledger")
