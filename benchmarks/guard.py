"""The regression guard, ``make bench-check``: fails where a log call got dearer.

With valgrind it counts instructions, which no neighbour changes. They are those of N more log calls
while the flush thread sleeps, forklog's divided by the do-nothing handler's. Without valgrind the
same ratio is taken of the thread's CPU time, the least of many bursts, with a wider margin.

``make bench-check ARGS=--floor`` counts what a call takes with the flush thread asleep, a plain one
and one with fields, beside the same in one function (`benchmarks.subjects.one_function`): what is
left is the work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from benchmarks.bench import ROOT, environment
from benchmarks.subjects import LABELS, Subject, make
from benchmarks.table import plain


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one log call may cost, as a multiple of the do-nothing handler's."""

    instructions: float
    cpu: float


# About a tenth above what was measured last, for instructions; twice that, for time.
LIMITS = {
    "plain": Limit(instructions=1.4, cpu=2.9),
    "fields": Limit(instructions=2.1, cpu=4.8),
    "exception": Limit(instructions=2.4, cpu=5.0),
}
SPOOLED = Limit(instructions=1.07, cpu=1.3)
"""The same of a plain call with a spool in shared memory, as a multiple of one without."""
_CALLS = 300  # the spool's second segment holds all of both counts
_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")


def build(subject: str) -> Subject:
    """Start a subject that has nowhere to send."""
    options = {} if subject == "nothing" else {"transport": _Hole()}
    made = make(subject, **options)
    made.start(9)
    return made


def call(subject: str, variant: str, number: int, *, is_quiet: bool = False) -> None:
    """Make so many calls, quiet ones without the flush thread; what is counted runs this."""
    made = build(subject)
    if is_quiet and subject != "nothing":
        from forklog.delivery.buffer import NEVER  # noqa: PLC0415 - only forklog's process needs it

        made.handler._gate.product.store.arm(NEVER)  # type: ignore[attr-defined]  # noqa: SLF001
    log = made.variant(variant)
    log(100)
    log(number)
    gate = getattr(made.handler, "_gate", None)
    # Not by stats(), which counts what waits: the more calls, the more of it.
    if gate is not None and gate.product.sender.ledger.retries:  # an outage would be counted
        raise RuntimeError(f"the subject of a count does not deliver: {made.handler.stats()}")


class _Hole:
    """A transport that takes everything."""

    def open(self) -> _Hole:
        return self

    def send(self, entries: object, timeout: float) -> object:  # noqa: ARG002 - the protocol
        from forklog.transports.base import Kind, Verdict  # noqa: PLC0415 - only forklog's process

        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        return


def cpu(subject: str, variant: str) -> float:
    """Return the least nanoseconds of CPU that one call takes, from a process of its own."""
    code = (
        "import os; from benchmarks import guard\n"
        f"print(guard.least({subject!r}, {variant!r}), flush=True)\nos._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=environment(),
    )
    return float(done.stdout)


def least(subject: str, variant: str) -> float:
    """Measure many bursts in this very process."""
    log, took = build(subject).variant(variant), []
    for _ in range(60):
        begin = time.thread_time_ns()
        log(100)
        took.append((time.thread_time_ns() - begin) / 100)
    return min(took)


def instructions(valgrind: str, subject: str, variant: str, *, is_quiet: bool = False) -> float:
    """Return the instructions of one call: those of 2 N calls less those of N."""
    command = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    counted = []
    for number in (_CALLS, 2 * _CALLS):
        said = _run([*command, sys.executable], subject, variant, number, is_quiet=is_quiet)
        found = _COUNTED.search(said)
        if not found:
            raise RuntimeError(f"valgrind counted nothing: {said[-500:]}")
        counted.append(int(found[1].replace(",", "")))
    if counted[1] <= counted[0]:
        raise RuntimeError(f"{_CALLS} more calls took fewer instructions: {counted}")
    return (counted[1] - counted[0]) / _CALLS


def _run(
    python: list[str], subject: str, variant: str, number: int, *, is_quiet: bool = False
) -> str:
    """Make so many calls in a process of its own; return what it printed to stderr."""
    code = (
        "import os; from benchmarks import guard\n"
        f"guard.call({subject!r}, {variant!r}, {number}, is_quiet={is_quiet})\nos._exit(0)"
    )
    done = subprocess.run(
        [*python, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    return done.stderr


def _measure(valgrind: str | None) -> dict[tuple[str, str], float]:
    """Count all; side by side where it is instructions, one after the other where it is time."""
    pairs = [(variant, subject) for variant in LIMITS for subject in ("nothing", "forklog")]
    pairs.append(("plain", "spooled"))
    if valgrind is None:
        return {(v, s): cpu(s, v) for v, s in pairs}
    _compile("nothing", "forklog", "spooled")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        count = partial(instructions, valgrind, is_quiet=True)
        counted = pool.map(lambda pair: count(subject=pair[1], variant=pair[0]), pairs)
        return dict(zip(pairs, counted, strict=True))


def _compile(*subjects: str) -> None:
    """Have none of the runs that are counted compile modules."""
    for subject in subjects:
        _run([sys.executable], subject, "plain", 1)


def _print_floor(valgrind: str) -> None:
    """Print the instructions of a call beside those of the same work in one function."""
    subjects = ("nothing", "straight", "forklog")
    _compile(*subjects)
    pairs = [(variant, subject) for variant in ("plain", "fields") for subject in subjects]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        count = partial(instructions, valgrind, is_quiet=True)
        counted = pool.map(lambda pair: count(subject=pair[1], variant=pair[0]), pairs)
        found = dict(zip(pairs, counted, strict=True))
    rows = []
    for (variant, name), number in found.items():
        floor = found[variant, "nothing"]
        more = f"{number - floor:,.0f}"
        rows.append([variant, LABELS[name], f"{number:,.0f}", more, f"{number / floor:.3f}"])
    print(plain(["call", "flush thread asleep", "instructions", "added", "ratio"], rows))


def main(arguments: Sequence[str]) -> None:
    """Compare; exit with 1 if a limit is exceeded."""
    valgrind = None if "--time" in arguments else shutil.which("valgrind")
    if "--floor" in arguments:
        if valgrind is None:
            sys.exit("--floor counts with valgrind, which is not installed")
        _print_floor(valgrind)
        return
    unit = "instructions" if valgrind else "CPU ns"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.environ["BENCH_SPOOL"] = folder
        found = _measure(valgrind)
    rows = []
    for variant, limit in LIMITS.items():
        floor, ours = found[variant, "nothing"], found[variant, "forklog"]
        rows.append(_row(variant, floor, ours, limit.instructions if valgrind else limit.cpu))
    print(plain(["call", f"do-nothing, {unit}", "forklog", "ratio", "limit", ""], rows))
    most = SPOOLED.instructions if valgrind else SPOOLED.cpu
    spooled = _row("plain", found["plain", "forklog"], found["plain", "spooled"], most)
    print(plain(["call", f"forklog, {unit}", "with a spool", "ratio", "limit", ""], [spooled]))
    sys.exit(any(row[-1] != "ok" for row in [*rows, spooled]))


def _row(name: str, floor: float, ours: float, most: float) -> list[str]:
    verdict = "too dear" if ours / floor > most else "ok"
    return [name, f"{floor:,.0f}", f"{ours:,.0f}", f"{ours / floor:.3f}", str(most), verdict]


if __name__ == "__main__":
    main(sys.argv[1:])
