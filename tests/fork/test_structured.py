"""Lines of JSON from many processes and threads: each is whole, none is lost, none doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers import DONE, python_path

_PROCESSES, _THREADS, _LINES = 6, 3, 60

_BODY = f"""
import logging, os, threading
import forklog
log = logging.getLogger("many")
log.addHandler(forklog.StructuredLogHandler(project_id="p"))
log.setLevel(logging.INFO)

def work(process, thread):
    for number in range({_LINES}):
        # Far above PIPE_BUF now and then, which the kernel does not write in one piece.
        size = 70_000 if number % 20 == 7 else 200
        log.info("%s", f"{{process}}-{{thread}}-{{number}} " + "x" * size)

children = []
for process in range({_PROCESSES}):
    log.info("parent %d", process)
    pid = os.fork()
    if pid == 0:
        threads = [threading.Thread(target=work, args=(process, n)) for n in range({_THREADS})]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit({DONE})
    children.append(pid)
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == {DONE}
os._exit({DONE})
"""


def _check(text: str) -> None:
    messages = [json.loads(line)["message"].split(" ")[0] for line in text.splitlines()]
    expected = [
        f"{process}-{thread}-{number}"
        for process in range(_PROCESSES)
        for thread in range(_THREADS)
        for number in range(_LINES)
    ]
    expected += ["parent"] * _PROCESSES
    assert Counter(messages) == Counter(expected)


@pytest.mark.parametrize("pause", [0.0, 0.002], ids=["quick reader", "slow reader"])
def test_a_pipe_of_many_processes(pause: float) -> None:
    """An agent's pipe gets whole lines, also those above PIPE_BUF, from forks and threads."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_BODY)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path(), "COVERAGE_PROCESS_CONFIG": ""},
    )
    assert process.stdout is not None
    pieces = []
    while piece := os.read(process.stdout.fileno(), 65_536):
        pieces.append(piece)
        time.sleep(pause)
    process.stdout.close()
    assert process.wait(60) == DONE
    _check(b"".join(pieces).decode())


@pytest.mark.parametrize("mode", ["w", "a"], ids=["truncated", "appended"])
def test_a_file_of_many_processes(tmp_path: Path, mode: str) -> None:
    """A file that all of them inherited gets whole lines, too."""
    path = tmp_path / "out.jsonl"
    with path.open(mode) as file:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(_BODY)],
            stdout=file,
            check=False,
            timeout=100,
            env={**os.environ, "PYTHONPATH": python_path(), "COVERAGE_PROCESS_CONFIG": ""},
        )
    assert done.returncode == DONE
    _check(path.read_text())
