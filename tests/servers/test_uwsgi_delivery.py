"""The example's own ini files in real uWSGI servers; its ledger is compared with what arrived."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until

from forklog.demo.modes import MODES, WORKERS, Mode
from forklog.demo.tally import read_ledger, record_id
from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    from conftest import Site

FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_record_of_every_worker_arrives_once(site: Site, mode: Mode) -> None:
    """Held entries come without any request, the last ones by the workers' exits at SIGTERM."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    site.start_example(mode)
    site.check_every_record_once(mode.loads)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.ask_until(lambda _: bool(site.pending()))
    site.end_uwsgi()
    site.check_every_record_once(mode.loads)


def test_a_server_that_is_away_does_not_hold_up_the_end(site: Site) -> None:
    """Without a listener every process still ends, and the entries are on stderr as JSON."""
    with Emulator.start() as emulator:
        site.environ["LOGGING_EMULATOR_HOST"] = emulator.host
        server = site.start_example(MODES["prefork"])
        site.ask_until(lambda pids: len(pids) == WORKERS)
        wanted = set(read_ledger(site.written()))
        wait_until(lambda: wanted <= {record_id(entry) for entry in emulator.entries()}, 20)
    site.ask("records=8")
    site.wait_idle()
    assert server.end(signal.SIGTERM, timeout=30)
    lost = [json.loads(line) for line in server.output().splitlines() if '"insertId"' in line]
    assert {record_id(entry) for entry in lost} >= set(read_ledger(site.written())[-8:])
