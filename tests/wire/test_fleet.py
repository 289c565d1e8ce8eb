"""A fleet of real processes under a quota of the emulator, beside the simulation of it."""

from __future__ import annotations

import pytest

from benchmarks.fleet.live import Trial, measure, request_sizes, simulated


@pytest.mark.parametrize(("per_second", "unit"), [(20.0, "requests"), (30_000.0, "bytes")])
def test_real_processes_behave_as_simulated(per_second: float, unit: str) -> None:
    """Of 20 processes, as many records are delivered and requests refused as in ten simulations.

    A real share may lie beyond the simulated ones by a quarter.

    Takes the five seconds for which the fleet logs: a clock that is run faster would move no
    socket faster.
    """
    trial, sizes = Trial(20, 10.0, 5.0, per_second, unit), request_sizes()
    real = measure(trial)
    models = [simulated(trial, seed, sizes) for seed in range(10)]
    for share in ("delivered", "refused"):
        simulations = [getattr(model, share) for model in models]
        least, most = 0.75 * min(simulations), 1.25 * max(simulations)
        assert least <= getattr(real, share) <= most, (share, real, simulations)
