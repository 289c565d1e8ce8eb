"""The regression guard counts a handler that delivers: in an outage its numbers mean nothing."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from cases import few

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variant", "is_quiet"),
    few(
        itertools.product(["plain", "fields", "exception"], [True, False]),
        *[("plain", True), ("fields", False), ("exception", True)],
    ),
)
def test_what_the_guard_counts_delivers(variant: str, is_quiet: bool) -> None:  # noqa: FBT001
    """The calls that are counted end without an error, the flush thread asleep or not."""
    code = (
        "import os; from benchmarks import guard\n"
        f"guard.call('forklog', {variant!r}, 50, is_quiet={is_quiet})\n"
        "print('counted', flush=True); os._exit(23)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (23, "counted\n", "")
