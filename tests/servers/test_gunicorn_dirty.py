"""gunicorn's dirty workers, which end by ``os._exit`` and run no hook of Python's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

APPS = Path(__file__).parent / "apps"
_LISTENS = re.compile(r"Listening at: (http://\S+) ")


@pytest.mark.skipif(
    not find_spec("gunicorn.dirty"), reason="gunicorn before 25.0 has no dirty workers"
)
def test_a_dirty_worker_delivers_at_its_end(emulator: Emulator, tmp_path: Path) -> None:
    """At a plain TERM nothing that the dirty app has logged is lost.

    Class of fault: a server ends its process by os._exit, where no hook of Python's runs; siblings:
    `test_the_records_of_a_job_arrive_once`, `test_a_request_that_raises_ends_its_worker`,
    `test_exec_loses_what_no_flush_has_delivered`.
    """
    console = tmp_path / "console"
    with console.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, str(Path(sys.executable).with_name("gunicorn"))),
                *("--bind", "127.0.0.1:0", "--no-control-socket", "--dirty-workers", "1"),
                # It ends the dirty arbiter of another run that has the same name.
                *("--name", f"dirty-{os.getpid()}"),
                *("--dirty-app", "dirty_app:App", "dirty_app:application"),
            ],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                **os.environ,
                "EXAMPLE_ENDPOINT": emulator.url,
                "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
            },
        )
    try:
        wait_until(lambda: "Dirty worker" in console.read_text(), 60, "a dirty worker")
        wait_until(lambda: _LISTENS.search(console.read_text()), 60, "gunicorn listens")
        found = _LISTENS.search(console.read_text())
        assert found
        with urllib.request.urlopen(found[1], timeout=60) as answer:
            assert answer.read() == b"work"
        assert "did work" not in {entry["textPayload"] for entry in emulator.entries()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        texts = sorted(entry["textPayload"] for entry in emulator.entries())
        assert texts == ["closed", "did work", "loaded 0", "loaded 1", "loaded 2"], (
            console.read_text()
        )
    finally:
        process.kill()
        process.wait(10)
