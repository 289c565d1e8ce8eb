"""What CI runs has a bound, and shows where it stands when the bound is reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_HANGS = """
import subprocess, sys, threading
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("it hangs", flush=True)
threading.Event().wait()
"""


def _bounded(duration: str, log: Path, *command: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(_ROOT / ".ci/bounded"), duration, str(log), *command]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=100, check=False)


def test_a_suite_that_hangs_shows_its_stacks_and_fails(tmp_path: Path) -> None:
    """A hung test is ended at the bound; its stack is shown, what it started does not hold CI."""
    script = tmp_path / "hangs.py"
    script.write_text(_HANGS)
    # pytest turns the faulthandler on by itself.
    done = _bounded("6s", tmp_path / "log", sys.executable, "-X", "faulthandler", str(script))
    assert done.returncode not in (0, 1)
    assert "it hangs" in done.stdout
    assert "hangs.py" in done.stdout.partition("Aborted")[2], (done, (tmp_path / "log").read_text())
    assert "ended after 6s" in done.stdout


@pytest.mark.parametrize("status", [0, 3])
def test_a_command_within_its_bound_is_shown_whole(tmp_path: Path, status: int) -> None:
    """Output and status are the command's; the output stands in the file as well."""
    log = tmp_path / "log"
    done = _bounded("60s", log, "sh", "-c", f"seq 5000; echo err >&2; exit {status}")
    assert done.returncode == status
    lines = done.stdout.splitlines()
    assert lines == [*map(str, range(1, 5001)), "err"]
    assert log.read_text() == done.stdout
