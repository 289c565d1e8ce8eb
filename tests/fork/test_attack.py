"""Trees of processes under attack, their ledgers against the emulator; `benchmarks/attack/`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import python_path, state_numbers

_ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.parametrize("options", [(), ("--spool",)])
def test_three_minutes(options: tuple[str, ...]) -> None:
    """Of processes that were not killed no record is lost without a count; none is shown twice."""
    environ = {**os.environ, "PYTHONPATH": python_path()}
    environ.pop("COVERAGE_PROCESS_CONFIG", None)
    command = [sys.executable, "-m", "benchmarks.attack", "--minutes", "3", *options]
    done = subprocess.run(
        command, cwd=_ROOT, env=environ, capture_output=True, text=True, timeout=450, check=False
    )
    state_numbers(done.stdout)
    assert not done.returncode, f"{done.stdout}\n{done.stderr[-3000:]}"
    for kind in ("dictConfig", "forks in C", "handlers let go", "inline processes", "strikes"):
        assert re.search(rf"'{kind}': [1-9]", done.stdout), kind
