"""`os.fork()` of a process whose pipeline is live, and the child's first record.

Two controls tell what no handler can change. One is a process with a do-nothing handler and a bare
thread that sleeps. The other is what it costs a child to write to a page that it shares with its
parent.

From Python 3.12 on the flush thread ends before a fork, and a third control is a do-nothing handler
whose thread does so, too. The callbacks before it are judged there. A record, which starts the
thread, makes the fork after it dearer in any case, by what it leaves in caches and pages.
``python3.14 -m benchmarks.rows.fork`` runs the row alone, with any Python that has forklog with its
extra `emulator`.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench
from benchmarks.callbacks import Callbacks
from benchmarks.noise import Noise, machine
from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.table import plain
from benchmarks.work import MESSAGE

if TYPE_CHECKING:
    import logging

    from benchmarks.subjects.subject import Subject
    from benchmarks.worker import Room

TITLE = "Fork: os.fork() in the parent, and the first record of the child, µs"
_ENDS = sys.version_info >= (3, 12)  # the flush thread, before a fork
_SUBJECTS = {
    "imported": "forklog",
    "control": "nothing",
    **({"ended": "stopped"} if _ENDS else {}),
    "live": "forklog",
    "sending": "forklog",
}
_PAGES = 256
_MOST_MORE, _MOST_PAUSE, _MOST_FIRST = 50, 100, 1000  # µs
_LABELS = {
    "imported": "forklog imported, no handler",
    "control": "forklog imported, a do-nothing handler and a bare thread asleep",
    "ended": "a do-nothing handler, and a bare thread that ends before the fork",
    "live": "pipeline live, its thread asleep",
    "sending": "pipeline live, its thread sending",
}


def measure(room: Room, state: str, number: int) -> dict[str, Any]:
    """In a process of its own: so many forks in this state, and first records of children.

    The children of the forks that are timed do nothing: what the caches hold after another child
    has logged is not of the fork.
    """
    is_first = not hasattr(room, "callbacks")
    if is_first:
        room.callbacks = Callbacks()  # before those of forklog
    import forklog  # noqa: F401, PLC0415 - the same modules are loaded in all states

    if state == "control" and not hasattr(room, "subject"):
        room.start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif state in ("ended", "live", "sending"):
        subject = room.start(0.005 if state == "sending" else 0.0)
        subject.plain(100)
        subject.hurry()
        time.sleep(0.2)  # its thread sleeps then
    if is_first:
        room.callbacks.enclose()
    loggers = [None] if state == "imported" else [None, room.subject.logger]
    took: dict[bool, list[float]] = {False: [], True: []}
    starts: list[float] = []
    pauses: list[float] = []
    for logger in loggers:
        for _ in range(number):
            if state == "sending":
                subject.exception(3)
            elif _ENDS:
                starts += _start_thread(subject) if state in ("ended", "live") else ()
                time.sleep(0.01)  # in all states, since what the caches hold is forgotten then
            fork, first = _fork_once(room, logger)
            took[logger is not None].append(fork if logger is None else first)
            pauses.append(room.callbacks.took())
    return {"forks": took[False], "firsts": took[True], "starts": starts, "pauses": pauses}


def _start_thread(subject: Subject) -> list[float]:
    """Log a record that starts the thread; return the microseconds of that, once it is settled."""
    begin = time.perf_counter_ns()
    subject.plain(1)
    took = time.perf_counter_ns() - begin
    subject.hurry()
    return [took / 1000]


def _fork_once(room: Room, logger: logging.Logger | None) -> tuple[float, float]:
    """Return the microseconds of the fork in the parent and of the child's first log call.

    The child shares the parent's processor and waits until the parent has looked at its clock. What
    it did on another one meanwhile would slow the fork down, by more than is to be measured.
    """
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})  # this thread and the child, not the flush thread
    reader, writer = os.pipe()
    starter, go = os.pipe()
    begin = time.perf_counter_ns()
    pid = os.fork()
    took = time.perf_counter_ns() - begin
    if pid == 0:
        os.read(starter, 1)
        os.sched_setaffinity(0, processors)
        begin = time.perf_counter_ns()
        if logger is not None:
            logger.info(MESSAGE, "alice", 7, 0.25)
        first = time.perf_counter_ns() - begin
        stats = getattr(room.subject.handler, "stats", None) if logger is not None else None
        is_accepted = stats is None or stats().accepted == 1
        os.write(writer, struct.pack("q", first if is_accepted else -1))
        os._exit(0)
    os.write(go, b"g")
    (first,) = struct.unpack("q", os.read(reader, 8))
    os.waitpid(pid, 0)
    os.sched_setaffinity(0, processors)
    for descriptor in (reader, writer, starter, go):
        os.close(descriptor)
    if first < 0:
        raise RuntimeError("the child's first record was not accepted")
    return took / 1000, first / 1000


def faults(room: Room, number: int) -> dict[str, Any]:  # noqa: ARG001 - as every measurement
    """Return the microseconds that a child takes to write to a page it shares, so many times."""
    pages = bytearray(b"x" * _PAGES * 4096)
    took = []
    for _ in range(number):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            begin = time.perf_counter_ns()
            for place in range(0, len(pages), 4096):
                pages[place] = 0
            os.write(writer, struct.pack("q", time.perf_counter_ns() - begin))
            os._exit(0)
        took.append(struct.unpack("q", os.read(reader, 8))[0] / 1000 / _PAGES)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
    return {"faults": took}


def run(bench: Bench) -> Result:
    """Fork in turns in a process for each state; judge what the live pipeline adds."""
    samples, pages = _samples(bench)
    forks = {s: [figure(turn["forks"]).median for turn in samples[s]] for s in _SUBJECTS}
    firsts, starts, pauses = (
        {s: [took for turn in samples[s] for took in turn[what]] for s in _SUBJECTS}
        for what in ("firsts", "starts", "pauses")
    )
    first = figure(firsts["live"])
    is_prompt = first.median <= _MOST_FIRST
    lines = [
        _line_of_pauses(pauses) if _ENDS else _line_of_forks(forks),
        Line("first record of the child", "<= 1 ms", f"{first.text('.0f')} µs", is_prompt),
    ]
    figures = [
        [
            _LABELS[s],
            *(figure(took[s]).text(".0f") if took[s] else "-" for took in (forks, firsts)),
            f"{max(firsts[s]):.0f}" if firsts[s] else "-",
            *(figure(took[s]).text(".0f") if took[s] else "-" for took in (pauses, starts)),
        ]
        for s in _SUBJECTS
    ]
    page = figure(pages).text(".1f")
    figures.append(["one shared page, written by the child", "-", page, "-", "-", "-"])
    heads = ["state", "os.fork()", "first record of the child", "slowest of them"]
    if _ENDS:
        heads += ["callbacks before it", "a record that starts the thread"]
    figures = [row[: len(heads)] for row in figures]
    return Result(TITLE, lines, heads, figures, {"forks": forks, "firsts": firsts})


def _line_of_forks(forks: dict[str, list[float]]) -> Line:
    added = figure([a - b for a, b in zip(forks["live"], forks["imported"], strict=True)])
    text = f"{added.text('.0f')} µs"
    is_met = added.median <= _MOST_MORE
    return Line("os.fork() with a live pipeline", f"<= {_MOST_MORE} µs more", text, is_met)


def _line_of_pauses(pauses: dict[str, list[float]]) -> Line:
    live, least, other = (figure(pauses[s]).median for s in ("live", "ended", "imported"))
    text = f"{live - other:.0f} µs, {least - other:.0f} of them to end a bare thread"
    is_met = live - other <= _MOST_PAUSE
    return Line("os.fork() with a live pipeline", f"<= {_MOST_PAUSE} µs more", text, is_met)


def _samples(bench: Bench) -> tuple[dict[str, list[dict[str, Any]]], list[float]]:
    """Return the answers of the process of each state, and what it takes to write to a page."""
    workers = {state: bench.fresh(subject) for state, subject in _SUBJECTS.items()}
    samples: dict[str, list[dict[str, Any]]] = {state: [] for state in workers}
    pages: list[float] = []
    for number in bench.pace(bench.rounds(12, 4), 25):
        for state, worker in workers.items():
            answer = worker.measure("fork", state=state, number=20)
            if number:
                samples[state].append(answer)
        pages += workers["control"].measure("fork", "faults", number=2)["faults"]
    for worker in workers.values():
        worker.close()
    return samples, pages


def _main() -> None:
    noise = Noise()
    print(machine())
    noise.sample()
    with Bench() as bench:
        found = run(bench)
    noise.sample()
    print(plain(found.heads, found.figures))
    for line in found.lines:
        print(f"{line.what}: {line.target}; {line.measured}; {line.verdict()}")
    print(f"noise: {noise.report()['text']}")


if __name__ == "__main__":
    _main()
