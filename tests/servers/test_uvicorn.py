"""uvicorn on its own: after a graceful shutdown it dies by the signal that asked for it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import DONE, python_path, run_python, wait_until

from forklog.demo.tally import read_ledger, record_id

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "gunicorn"
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        # A latency that outlives the test: only a hook can deliver in time.
        "cloud": {"class": "forklog.CloudLoggingHandler", "max_latency": 60},
        "console": {"class": "logging.StreamHandler"},
    },
    "loggers": {
        "shop": {"level": "INFO", "handlers": ["cloud"]},
        "uvicorn": {"level": "INFO", "handlers": ["console"]},
    },
}


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)],
    ids=["TERM", "INT"],
)
def test_the_last_records_arrive(
    emulator: Emulator, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """What a request and the end of the lifespan have logged is delivered before the signal."""
    config, console, ledger = (tmp_path / name for name in ("config.json", "console", "ledger"))
    config.write_text(json.dumps(CONFIG))
    with console.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:asgi", "--port=0", f"--log-config={config}"],
            cwd=EXAMPLE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                **os.environ,
                "EXAMPLE_LEDGER": str(ledger),
                "LOGGING_EMULATOR_HOST": emulator.host,
                "PYTHONPATH": python_path(),
            },
        )
    try:
        pattern = re.compile(r"running on (http://\S+)")
        wait_until(lambda: pattern.search(console.read_text()), 60, console.read_text())
        url = pattern.findall(console.read_text())[0]
        emulator.wait_for(lambda entries: len(entries) >= 1, 20)  # the first goes at once
        with urllib.request.urlopen(f"{url}/?records=3", timeout=20) as answer:
            assert json.load(answer)["records"] == 3
        process.send_signal(number)
        assert process.wait(30) == status
    finally:
        process.kill()
        process.wait()
    logged = read_ledger(ledger.read_text())
    assert [name.partition("-")[0] for name in logged] == [
        *["boot"] * 2,
        *["request"] * 3,
        "shutdown",
    ]
    assert [record_id(entry) for entry in emulator.entries()] == logged


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_program_that_goes_on_after_ctrl_c(name: str) -> None:
    """`uvicorn.run` returns after SIGINT and the program logs on: batches as before, no drop.

    So it does after SIGTERM, which uvicorn raises again for the handler that the program has set.
    The deadline of the end begins later, once the program ends.

    Class of fault: a hook that fires while the process lives on is taken for its end; siblings:
    `test_the_end_of_the_main_thread_is_no_end_while_others_live`,
    `test_a_hook_in_a_life_that_goes_on_gives_up_nothing_of_a_close_under_way`,
    `test_an_exception_that_ends_no_worker_waits_for_nothing`.
    """
    done = run_python(
        """
        import atexit, logging, os, signal, threading, time
        atexit.register(lambda: print(len(transport.sent), len(transport.entries)))
        import uvicorn
        import forklog
        from forklog.clock import monotonic
        from forklog.process.deadlines import exit_deadline
        from forklog.testing import FakeTransport
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: noted.append(1))
        noted = []
        transport = FakeTransport()
        log = logging.getLogger("on")
        log.addHandler(forklog.CloudLoggingHandler(transport=transport, max_latency=0.3))
        log.setLevel("INFO")

        async def app(scope, receive, send):
            await receive()
            log.info("startup")
            await send({"type": "lifespan.startup.complete"})
            os.kill(os.getpid(), signal.NAME)
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

        uvicorn.run(app, port=0, lifespan="on", log_level="critical")
        for n in range(100):
            log.info("n%d", n)
            time.sleep(0.01)
        deadline = exit_deadline()
        assert not deadline.is_ending
        assert bool(noted) == (signal.NAME is signal.SIGTERM)
        deadline.note_ending()
        with deadline.wait(1.0) as until:
            assert until > monotonic() + 0.9
        """.replace("NAME", name),
        40,
    )
    assert done.returncode == DONE, done.stderr
    requests, entries = map(int, done.stdout.split())
    assert entries == 101
    assert requests < 30
