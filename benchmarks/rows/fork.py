"""`os.fork()` of a process whose pipeline is live, and the child's first record.

Two controls tell what no handler can change: a process with a do-nothing handler and a bare thread
that sleeps, and what it costs a child to write to a page that it shares with its parent.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure
from benchmarks.result import Line, Result
from benchmarks.work import MESSAGE

if TYPE_CHECKING:
    import logging

    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Fork: os.fork() in the parent, and the first record of the child, µs"
_STATES = ("imported", "control", "live", "sending")
_PAGES = 256
_LABELS = {
    "imported": "forklog imported, no handler",
    "control": "forklog imported, a do-nothing handler and a bare thread asleep",
    "live": "pipeline live, its thread asleep",
    "sending": "pipeline live, its thread sending",
}


def measure(room: Room, state: str, number: int) -> dict[str, Any]:
    """In a process of its own: so many forks in this state, and first records of children.

    The children of the forks that are timed do nothing: what the caches hold after another child
    has logged is not of the fork.
    """
    import forklog  # noqa: F401, PLC0415 - the same modules are loaded in all states

    if state == "control" and not hasattr(room, "subject"):
        room.start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif state in ("live", "sending"):
        subject = room.start(0.005 if state == "sending" else 0.0)
        subject.plain(100)
        subject.hurry()
        time.sleep(0.2)  # its thread sleeps then
    loggers = [None] if state == "imported" else [None, room.subject.logger]
    took: dict[bool, list[float]] = {False: [], True: []}
    for logger in loggers:
        for _ in range(number):
            if state == "sending":
                subject.exception(3)
            fork, first = _fork_once(room, logger)
            took[logger is not None].append(fork if logger is None else first)
    return {"forks": took[False], "firsts": took[True]}


def _fork_once(room: Room, logger: logging.Logger | None) -> tuple[float, float]:
    """Return the microseconds of the fork in the parent and of the child's first log call.

    The child shares the parent's processor and waits until the parent has looked at its clock: what
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
    """Fork in turns in four processes; judge what the live pipeline adds."""
    subjects = {state: "nothing" if state == "control" else "forklog" for state in _STATES}
    workers = {state: bench.fresh(subject) for state, subject in subjects.items()}
    forks: dict[str, list[float]] = {state: [] for state in _STATES}
    firsts: dict[str, list[float]] = {state: [] for state in _STATES}
    pages: list[float] = []
    for number in bench.pace(bench.rounds(12, 4), 25):
        for state, worker in workers.items():
            answer = worker.measure("fork", state=state, number=20)
            if number == 0:
                continue
            forks[state].append(figure(answer["forks"]).median)
            firsts[state] += answer["firsts"]
        pages += workers["control"].measure("fork", "faults", number=2)["faults"]
    for worker in workers.values():
        worker.close()
    added = figure([a - b for a, b in zip(forks["live"], forks["imported"], strict=True)])
    first = figure(firsts["live"])
    most = 100 if sys.version_info >= (3, 12) else 50  # the flush thread has to end for it there
    lines = [
        Line(
            "os.fork() with a live pipeline",
            f"<= {most} µs more",
            f"{added.text('.0f')} µs",
            added.median <= most,
        ),
        Line(
            "first record of the child", "<= 1 ms", f"{first.text('.0f')} µs", first.median <= 1000
        ),
    ]
    heads = ["state", "os.fork()", "first record of the child", "slowest of them"]
    figures = [
        [
            _LABELS[s],
            figure(forks[s]).text(".0f"),
            figure(firsts[s]).text(".0f") if firsts[s] else "-",
            f"{max(firsts[s]):.0f}" if firsts[s] else "-",
        ]
        for s in _STATES
    ]
    figures.append(["one shared page, written by the child", "-", figure(pages).text(".1f"), "-"])
    return Result(TITLE, lines, heads, figures, {"forks": forks, "firsts": firsts})
