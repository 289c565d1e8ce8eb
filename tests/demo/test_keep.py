"""`forklog demo --keep`, as a process: the emulator stays with the entries until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until

from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("uwsgi")


def test_the_emulator_stays_until_ctrl_c(tmp_path: Path) -> None:
    """The address that is printed has the entries; the status after Ctrl-C is the demo's."""
    out, err = tmp_path / "out", tmp_path / "err"
    command = [sys.executable, "-m", "forklog", "demo", "--keep", "--patience", "20"]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--modes", "prefork", "--handlers", "forklog"],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        )  # fmt: skip
    try:
        wait_until(lambda: "until Ctrl-C" in out.read_text(), 100, "the address")
        (url,) = re.findall(r"stay at (http://\S+) until", out.read_text())
        entries = Emulator(url).entries(project="forklog-demo")
        assert len(entries) == 484
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, out.read_text()
    finally:
        process.kill()
        process.wait()
    with pytest.raises(OSError, match="refused"):
        Emulator(url).entries()
    assert err.read_text() == ""
    assert "forklog delivered all 484 records, each once." in out.read_text()
