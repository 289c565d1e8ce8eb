"""Records of every kind, at random; `tests/support/fuzz.py` runs a million of them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz import run

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator


def test_records_of_every_kind(emulator: Emulator) -> None:
    """None is raised, dropped, lost or shown twice, and nothing is written to stderr."""
    outcome = run(emulator, 3000, seed=7)
    assert outcome.is_well(), outcome
