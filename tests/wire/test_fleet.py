"""A fleet of real processes under a quota of the emulator, beside the simulation of it."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.fleet.live import Trial, measure, request_sizes, simulated


@pytest.mark.long
@pytest.mark.parametrize(("per_second", "unit"), [(20.0, "requests"), (30_000.0, "bytes")])
def test_real_processes_behave_as_simulated(per_second: float, unit: str) -> None:
    """Of 20 processes, as many records are delivered and requests refused, within a quarter.

    That is a quarter of the mean of ten simulations. Under a quota of bytes these differ by as much
    among themselves: there it is a quarter beyond the least and the most of them.
    Takes the five seconds for which the fleet logs: a clock that is run faster would move no
    socket faster.
    """
    trial, sizes = Trial(20, 10.0, 5.0, per_second, unit), request_sizes()
    real = measure(trial)
    models = [simulated(trial, seed, sizes) for seed in range(10)]
    for share in ("delivered", "refused"):
        found = [getattr(model, share) for model in models]
        least = most = statistics.mean(found)
        if unit == "bytes":
            least, most = min(found), max(found)
        assert 0.75 * least <= getattr(real, share) <= 1.25 * most, (share, real, found)
