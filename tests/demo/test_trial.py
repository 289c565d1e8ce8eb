"""A trial of the demo, with a real server and the emulator, sees what there is to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forklog.demo.modes import MODES, SPOOLED, WORKERS
from forklog.demo.trial import Trial
from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("uwsgi")


def test_forklog_under_prefork_is_perfect_and_reported_step_by_step(tmp_path: Path) -> None:
    """All that the app wrote down arrived once, and the words shown lead from start to end."""
    shown: list[str] = []
    with Emulator.start() as emulator:
        row = Trial(MODES["prefork"], "forklog", emulator, tmp_path, 20, shown.append).run()
    assert row.faults() == []
    assert (row.tally.boot_logged, row.tally.boot_delivered) == (4, 4)
    assert shown[0] == "starting"
    assert "48 of 48 requests answered" in shown
    assert shown[-2:] == ["ending", "waiting for deliveries"]


@pytest.mark.long
def test_workers_killed_while_they_log_lose_nothing_with_a_spool(tmp_path: Path) -> None:
    """What each killed worker's log calls had returned from is shown, and shown once."""
    with Emulator.start() as emulator:
        row = Trial(MODES["kill"], SPOOLED, emulator, tmp_path, 20, lambda _: None).run()
    assert row.killed == MODES["kill"].kills
    assert row.faults() == []
    assert row.tally.boot_logged == 4 * (WORKERS + row.killed)


@pytest.mark.long
def test_what_was_stored_twice_and_is_shown_once_counts_as_duplicated(tmp_path: Path) -> None:
    """An answer lost after storing has the batch sent again; the trial does not overlook it."""
    with Emulator.start() as emulator:
        emulator.fault("drop", when="after", count=1)
        row = Trial(MODES["prefork"], "forklog", emulator, tmp_path, 20, lambda _: None).run()
    assert row.tally.lost == 0
    assert row.tally.duplicated >= 1
    assert row.faults() == [f"{row.tally.duplicated} records duplicated"]
