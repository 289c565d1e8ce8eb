"""How noisy the machine was: load, stolen time, and the same work measured again and again."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.ratio import figure

_SPINS = 20_000


def machine() -> str:
    """Return what the numbers were measured on."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, Linux {platform.release()}, {os.cpu_count()} CPUs ({model})"


class Noise:
    """Watch the machine during a run."""

    def __init__(self) -> None:
        """Begin."""
        self._spins: list[float] = []
        self._load = [os.getloadavg()[0]]
        self._begin = _jiffies()
        self._time = time.monotonic()

    def sample(self) -> None:
        """Measure the same bit of pure Python once more; call it between two rows."""
        for _ in range(20):
            begin = time.perf_counter_ns()
            for _ in range(_SPINS):
                pass
            self._spins.append((time.perf_counter_ns() - begin) / _SPINS)
        self._load.append(os.getloadavg()[0])

    def report(self) -> dict[str, Any]:
        """Return what was seen, the text of it included."""
        total, stolen = (b - a for a, b in zip(self._begin, _jiffies(), strict=True))
        spin = figure(self._spins or [0.0])
        spread = 100 * (spin.high - spin.low) / spin.median if spin.median else 0.0
        steal = 100 * stolen / max(1, total)
        text = (
            f"load average {min(self._load):.1f} to {max(self._load):.1f}, "
            f"{steal:.1f} % of the CPU time stolen by other virtual machines.\n"
            f"An empty loop took {spin.median:.1f} ns a turn with quartiles {spread:.0f} % apart"
        )
        seconds = time.monotonic() - self._time
        return {"text": text, "load": self._load, "steal_percent": steal, "seconds": seconds}


def _jiffies() -> tuple[int, int]:
    numbers = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(numbers), numbers[7]
