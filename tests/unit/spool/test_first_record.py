"""What the first record of a process with a spool does not do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from helpers import python_path

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import logging, os, sys
import forklog
from forklog.testing import FakeTransport
handler = forklog.CloudLoggingHandler(project="p", spool=sys.argv[1], transport=FakeTransport())
logging.getLogger().addHandler(handler)
before = set(sys.modules)
logging.warning("the first")
print(*(set(sys.modules) - before), handler.stats().spool)
sys.stdout.flush()
os._exit(0)
"""


def _check(program: str, folder: str) -> None:
    """Run a program that prints what the first record has done, which is to be nothing."""
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        capture_output=True, text=True, check=True, timeout=60,
        env={"PYTHONPATH": python_path(), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.split() == [folder], done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a spool needs Linux")
def test_the_first_record_imports_nothing(tmp_path: Path) -> None:
    """A module costs more than the spool's head and segment, in a child that answers a request."""
    _check(_PROGRAM, str(tmp_path / "spool"))


_AUDITED = _PROGRAM.replace(
    "before =",
    """
opened = []
def note(event, arguments):
    if event == "open" and str(arguments[0]).startswith("/proc/"):
        opened.append(arguments[0])
sys.addaudithook(note)
before =""",
).replace("print(*(set(sys.modules) - before)", "print(*opened")


@pytest.mark.skipif(sys.platform != "linux", reason="a spool needs Linux")
def test_the_first_record_reads_no_table(tmp_path: Path) -> None:
    """The handler has read the boot's id, the process image and the mounts when it was made."""
    _check(_AUDITED, str(tmp_path / "spool"))


_PROFILED = _PROGRAM.replace(
    "before =",
    """
parsed = []
def note(frame, event, argument):
    if event == "call" and "pathlib" in frame.f_code.co_filename:
        parsed.append(frame.f_code.co_name)
sys.setprofile(note)
before =""",
).replace("print(*(set(sys.modules) - before)", "sys.setprofile(None)\nprint(*parsed")


@pytest.mark.skipif(sys.platform != "linux", reason="a spool needs Linux")
def test_the_first_record_takes_no_path_to_pieces(tmp_path: Path) -> None:
    """The handler has done so when it was made: the objects of a path are slow to make."""
    _check(_PROFILED, str(tmp_path / "spool"))
