"""A fleet of real processes under a quota of the emulator, beside the simulation of it."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.fleet.live import measure, simulated


def test_real_processes_behave_as_simulated() -> None:
    """Of 20 processes, as many records are delivered and requests refused, within a quarter.

    Takes the five seconds for which the fleet logs: a clock that is run faster would move no
    socket faster.
    """
    fleet = (20, 10.0, 5.0, 20.0)
    real = measure(*fleet)
    models = [simulated(*fleet, seed=seed) for seed in range(10)]
    for share in ("delivered", "refused"):
        expected = statistics.mean(getattr(model, share) for model in models)
        assert getattr(real, share) == pytest.approx(expected, rel=0.25), (share, real)
