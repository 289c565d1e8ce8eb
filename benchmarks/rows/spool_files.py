"""What the files of a spool cost: the first record, system calls of log calls, a look around."""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT, environment
from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from forklog.spool.folder import Folder
from forklog.spool.head import Head
from forklog.spool.owner import Owner
from forklog.spool.parts.image import image, new_prefix
from forklog.spool.scan import scan

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Spool: its files"
_SHARED = "/dev/shm"  # noqa: S108 - where the option `auto` puts it
_FIRSTS = {
    "without a spool": ("forklog", "first"),
    "with one, its folder made": ("spooled", "first"),
    "the system calls of that alone": ("nothing", "alone"),
}
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_CALLS, _BURSTS = 100, 100
_BEGIN, _END = "/begin-of-log-calls", "/end-of-log-calls"
_NEIGHBOURS = 500
_TRACES = 3


def first(room: Room) -> dict[str, Any]:
    """In a process of its own: microseconds of its first record, and the spool's bytes then."""
    _own_folder().mkdir(0o700)
    subject = room.start()
    begin, busy = time.perf_counter_ns(), time.thread_time_ns()
    subject.plain(1)
    cpu, wall = time.thread_time_ns() - busy, time.perf_counter_ns() - begin
    return {"us": wall / 1000, "cpu_us": cpu / 1000, "bytes": held_bytes()}


def alone(room: Room) -> dict[str, Any]:
    """In a process of its own: microseconds of what the system does for a first record."""
    room.start()
    begin, busy = time.perf_counter_ns(), time.thread_time_ns()
    folder = os.open(os.environ["BENCH_SPOOL"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fstat(folder)
    os.access(f"/proc/self/fd/{folder}", os.W_OK)
    head = os.open("new", _FLAGS, 0o600, dir_fd=folder)
    fcntl.lockf(head, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(head, bytes(300))
    os.rename("new", "head", src_dir_fd=folder, dst_dir_fd=folder)
    os.fstat(head)
    os.statvfs(folder)
    segment = os.open("segment", _FLAGS, 0o600, dir_fd=folder)
    os.posix_fallocate(segment, 0, 65536)
    mapped = mmap.mmap(segment, 65536)
    mapped.madvise(23)  # MADV_POPULATE_WRITE
    os.close(segment)
    mapped.write(bytes(300))
    cpu, wall = time.thread_time_ns() - busy, time.perf_counter_ns() - begin
    for name in ("head", "segment"):
        os.unlink(name, dir_fd=folder)
    return {"us": wall / 1000, "cpu_us": cpu / 1000, "bytes": 0}


def held_bytes() -> int:
    """Return what the spool of this process takes in its file system."""
    own = _own_folder()
    return sum(path.stat().st_blocks * 512 for path in own.glob("*")) if own.is_dir() else 0


def _own_folder() -> Path:
    return Path(os.environ["BENCH_SPOOL"]) / str(os.getpid())


def run(bench: Bench) -> Result:
    """Measure first records in turns, then the rest."""
    with tempfile.TemporaryDirectory(dir=_SHARED) as folder:
        os.environ["BENCH_SPOOL"] = folder
        firsts = _firsts(bench, Path(folder))
        calls = _system_calls(folder)
        looks = _looks(Path(folder))
    quiet = max(sample["bytes"] for sample in firsts["with one, its folder made"])
    with_one, without = (
        [s["us"] for s in firsts[n]] for n in ("with one, its folder made", "without a spool")
    )
    more = figure([a - b for a, b in zip(with_one, without, strict=True)])
    each = figure([(much - none) / _NEIGHBOURS for none, much in looks])
    lines = [
        Line("spool, first record", "<= 200 µs more", more.text(".0f"), more.median <= 200),
        _judged(calls),
        Line(
            "spool, a look, each living neighbour", "<= 20 µs", each.text(".1f"), each.median <= 20
        ),
        Line("spool, quiet process", "<= 68 KiB", f"{quiet / 1024:,.0f} KiB", quiet <= 68 * 1024),
    ]
    figures = [
        [
            f"first record, {how}",
            *(figure([s[k] for s in found]).text(".0f") for k in ("us", "cpu_us")),
        ]
        for how, found in firsts.items()
    ]
    data = {"firsts": firsts, "calls": calls, "looks": looks}
    return Result(TITLE, lines, ["what", "µs", "CPU, µs"], figures, data)


def _firsts(bench: Bench, folder: Path) -> dict[str, list[dict[str, Any]]]:
    samples: dict[str, list[dict[str, Any]]] = {how: [] for how in _FIRSTS}
    for number in bench.pace(bench.rounds(20, 3), 60):
        for how, (subject, measure) in _FIRSTS.items():
            worker = bench.fresh(subject)
            sample = worker.measure("spool_files", measure)
            worker.close()
            for left in folder.iterdir():
                shutil.rmtree(left)
            if number:
                samples[how].append(sample)
    return samples


def _judged(calls: int | None) -> Line:
    what = f"spool, system calls of {_CALLS * _BURSTS:,} log calls, beside logging's own"
    if calls is None:
        return Line(what, "0", "not measured without strace")
    return Line(what, "0", str(calls), calls == 0)


def _system_calls(folder: str) -> int | None:
    """Return how many system calls log calls add to logging's own, None without strace.

    The median of three traces. Where the flush thread is still at work when a burst begins, the
    thread that logs waits for the interpreter's lock. Its calls of futex are not the log call's,
    whose own would be in every trace.
    """
    strace = shutil.which("strace")
    if strace is None:
        return None
    return statistics.median_low(_trace(strace, folder) for _ in range(_TRACES))


def _trace(strace: str, folder: str) -> int:
    code = (
        "import os; from benchmarks.rows import spool_files\n"
        "spool_files.log_between_marks()\nos._exit(0)"
    )
    with tempfile.NamedTemporaryFile() as written:
        command = [strace, "-qq", "-o", written.name, sys.executable, "-c", code]
        subprocess.run(command, check=True, cwd=ROOT, env={**environment(), "BENCH_SPOOL": folder})
        lines = Path(written.name).read_text(encoding="utf-8", errors="replace")
    between = re.findall(rf"{_BEGIN}.*?\n(.*?)[^\n]*{_END}", lines, re.DOTALL)
    if len(between) != _BURSTS:
        raise RuntimeError(f"{len(between)} of {_BURSTS} bursts are in the trace")
    # A LogRecord asks for the PID, with every handler.
    return sum(found.count("\n") for found in between) - _CALLS * _BURSTS


def log_between_marks() -> None:
    """Log in bursts, each between two system calls that are seen in a trace of this thread."""
    from benchmarks.guard import build  # noqa: PLC0415 - for one process alone

    subject = build("spooled")
    subject.plain(3 * _CALLS)
    subject.hurry()
    for _ in range(_BURSTS):
        subject.plain(1)  # wakes the flush thread
        os.access(_BEGIN, os.F_OK)
        subject.plain(_CALLS)
        os.access(_END, os.F_OK)
        subject.hurry()


def look(folder: Path) -> float:
    """Return the microseconds of one look at a folder."""
    opened = Folder(str(folder), 1 << 30)
    begin = time.perf_counter_ns()
    scan(opened, image(), set())
    took = (time.perf_counter_ns() - begin) / 1000
    opened.close()
    return took


def _looks(folder: Path) -> list[tuple[float, float]]:
    """Return the microseconds of looks with no neighbour and with many, all one other process."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as none,
        tempfile.TemporaryDirectory(dir=folder) as much,
    ):
        code = (
            "from benchmarks.rows import spool_files\n"
            f"spool_files.be_neighbours({much!r}, {_NEIGHBOURS})"
        )
        neighbours = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env=environment(),
        )  # fmt: skip
        assert neighbours.stdout
        neighbours.stdout.readline()
        found = [(look(Path(none)), look(Path(much))) for _ in range(30)][1:]
        neighbours.communicate()
    return found


def be_neighbours(folder: str, number: int) -> None:
    """Hold so many heads until standard input ends."""
    opened = Folder(folder, 1 << 30)
    head = Head(
        project="bench", endpoint=None, log_name="bench", labels={}, resource=None, pid=os.getpid(),
        boot_id="", version="",
    )  # fmt: skip
    held = [Owner(opened, new_prefix(), head) for _ in range(number)]
    print(len(held), flush=True)
    sys.stdin.read()
