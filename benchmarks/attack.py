"""Attack trees of processes for minutes, then compare the ledger of each with the emulator.

``make soak`` runs it; ``--spool`` gives the processes a spool, ``--seed`` repeats a run.
Each tree has several handlers and threads, forks children, has a signal handler raise exceptions
anywhere in the main thread, flushes and closes at random. The server fails at random. Processes are
killed or stopped for a while at random. Each process writes down a record after its log call, and
its counters at its end. In the end every record of a process that was not killed is shown, or
counted as dropped. With a spool the server refuses no entry, and every record of every process is
shown or in the file of the last resort. None is shown twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import forklog
from benchmarks.soak import _clear, _Events, _storm
from forklog.emulator.process import Emulator

_TREES, _HANDLERS, _THREADS = 3, 3, 2
# Raised in a callback of the garbage collection, where no exception can get out, whosever it is.
_OF_THE_INTERPRETER = re.compile(
    r"^Exception ignored in: .*\nTraceback .*\n(?:[ \n].*\n?)*?(?:\w+\.)?_StruckError: ?\n",
    re.MULTILINE,
)


class _StruckError(Exception):
    """What the signal handler raises."""


def _identity(pid: int) -> str:
    """Name a process for good: in an hour the system gives most PIDs out again.

    Raises:
        OSError: there is none with that PID.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid}-{fields[19]}"  # the time of its start


class _Tree:
    """The processes of one tree; runs in each of them."""

    def __init__(self, folder: Path, seed: int, spool: str) -> None:
        self._folder = folder
        self._choose = random.Random(seed)  # noqa: S311 - a repeatable choice
        options: dict[str, Any] = {"max_latency": 0.02, "max_retry_delay": 1.0}
        options |= {"shutdown_timeout": 10, "last_resort": str(folder / "lost")}
        if spool:
            options["spool"] = spool
        self._handlers = [
            forklog.CloudLoggingHandler(project="attack", log_name=f"log{number}", **options)
            for number in range(_HANDLERS)
        ]
        self._over = threading.Event()
        self._me = _identity(os.getpid())
        self._number = self.struck = 0
        self._is_open = False  # to what the signal handler raises

    def _log(self, choose: random.Random) -> None:
        self._number += 1
        number = choose.randrange(_HANDLERS)
        name = f"{self._me}.{threading.get_native_id()}.{self._number}.{choose.random()}"
        text = name + " x" * choose.choice([1, 10, 500])
        level = choose.choice([10, 20, 40])
        self._handlers[number].handle(
            logging.LogRecord("attack", level, "/a.py", 1, text, None, None)
        )
        line = f"{self._me} {name}\n".encode()
        file = os.open(self._folder / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def _log_on(self, seed: float) -> None:
        choose = random.Random(seed)  # noqa: S311
        while not self._over.wait(choose.uniform(0, 0.02)):
            self._log(choose)

    def _account(self) -> None:
        stats = [handler.stats() for handler in self._handlers]
        lost = sum(sum(s.dropped.values()) for s in stats)
        wrong = [str(s) for s in stats if s.accepted != _settled(s) + s.pending]
        line = {"process": self._me, "dropped": lost, "wrong": wrong}
        line["pending"] = sum(s.pending for s in stats)
        with (self._folder / "accounts").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _child(self, depth: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._me = _identity(os.getpid())
        for _ in range(self._choose.randint(1, 30)):
            self._log(self._choose)
        if depth < 2 and self._choose.random() < 0.3:
            self._fork(depth + 1)
        logging.shutdown()
        self._account()
        os._exit(0)

    def _fork(self, depth: int) -> None:
        if not os.fork():
            self._choose.seed(os.getpid())
            self._child(depth)

    def _act(self) -> None:
        choice = self._choose.random()
        if choice < 0.7:
            self._log(self._choose)
        elif choice < 0.8:
            self._choose.choice(self._handlers).flush(0.05)
        elif choice < 0.82:
            self._choose.choice(self._handlers).close()
        elif choice < 0.86:
            self._is_open = False  # a child must not be struck half made
            self._fork(0)

    def run(self) -> None:
        """Act at random until SIGTERM."""

        def strike(*_: object) -> None:
            if self._is_open:
                self._is_open = False
                raise _StruckError

        signal.signal(signal.SIGALRM, strike)
        signal.signal(signal.SIGTERM, lambda *_: self._over.set())
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        threads = [
            threading.Thread(target=self._log_on, args=(self._choose.random(),))
            for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        while not self._over.is_set():
            try:
                self._is_open = True
                signal.setitimer(signal.ITIMER_REAL, self._choose.uniform(0.0005, 0.02))
                self._act()
                time.sleep(self._choose.uniform(0, 0.01))
                self._is_open = False
            except _StruckError:
                self.struck += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        for thread in threads:
            thread.join()
        logging.shutdown()
        self._account()


def _settled(stats: forklog.Stats) -> int:
    return stats.delivered + sum(stats.diverted.values()) + sum(stats.dropped.values())


class _Attack:
    """The driver: starts trees, kills and stops, makes the server fail, compares."""

    def __init__(self, folder: Path, emulator: Emulator, seed: int, spool: str) -> None:
        self._folder, self._emulator, self._spool = folder, emulator, spool
        self._choose = random.Random(seed)  # noqa: S311 - a repeatable attack
        self._trees: list[subprocess.Popen[bytes]] = []
        self.killed: set[str] = set()
        self.counts: Counter[str] = Counter()

    def _start(self) -> None:
        environ = {**os.environ, "LOGGING_EMULATOR_HOST": self._emulator.host}
        arguments = ["--folder", str(self._folder), "--seed", str(self._choose.randrange(10**6))]
        arguments += ["--spool", self._spool] if self._spool else []
        command = [sys.executable, "-m", "benchmarks.attack", *arguments]
        with (self._folder / "stderr").open("a") as errors:
            self._trees.append(subprocess.Popen(command, env=environ, stderr=errors))
        self.counts["trees"] += 1

    def _harm(self) -> None:
        tree = self._choose.choice(self._trees)
        pids = [tree.pid, *_children(tree.pid)]
        pid = self._choose.choice(pids)
        with contextlib.suppress(OSError):
            if self._choose.random() < 0.5:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self._choose.uniform(0.1, 1.0))
                os.kill(pid, signal.SIGCONT)
                self.counts["stopped"] += 1
            else:
                self.killed.add(_identity(pid))
                os.kill(pid, signal.SIGKILL)
                self.counts["killed"] += 1

    def run(self, seconds: float) -> None:
        """Attack for so long; then let all end, and one more process adopt what the dead left."""
        events, end = _Events(), time.monotonic() + seconds
        while time.monotonic() < end:
            while len([t for t in self._trees if t.poll() is None]) < _TREES:
                self._trees = [t for t in self._trees if t.poll() is None]
                self._start()
            _storm(self._emulator, self._choose, events, has_spool=bool(self._spool))
            self._harm()
            if self._choose.random() < 0.4:
                _clear(self._emulator)
        _clear(self._emulator)
        for tree in self._trees:
            tree.terminate()
        for tree in self._trees:
            # SIGTERM has its default action in one that is still at its imports.
            if tree.wait(60) not in {0, -signal.SIGKILL, -signal.SIGTERM}:
                self.counts[f"ended by {tree.returncode}"] += 1
        self.counts.update({f"fault {kind}": number for kind, number in events.faults.items()})
        time.sleep(12.0)  # for children whose parent has gone
        self._start()
        time.sleep(10.0 if self._spool else 1.0)
        self._trees[-1].terminate()
        self._trees[-1].wait(60)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _shown(emulator: Emulator) -> Counter[str]:
    """Count the records that the emulator has."""
    texts = [entry.get("textPayload", "") for entry in emulator.entries("", "attack")]
    return Counter(text.split(" ")[0] for text in texts)


def _diverted(folder: Path, kills: int) -> tuple[set[str], list[str]]:
    """Return the records that are in the last resort's file, and what is wrong with the file."""
    lines, names, torn = _lines(folder / "lost"), set(), 0
    for line in filter(None, lines):
        try:
            names.add(json.loads(line).get("textPayload", "").split(" ")[0])
        except ValueError:  # a kill tears one
            torn += 1
    wrong = [f"{torn} torn lines in the last resort, of {kills} kills"] if torn > kills else []
    return names, wrong + ["an empty line in the last resort"] * ("" in lines)


def _compare(folder: Path, emulator: Emulator, attack: _Attack, *, has_spool: bool) -> list[str]:
    wrong: list[str] = []
    shown = _shown(emulator)
    diverted, of_file = _diverted(folder, attack.counts["killed"])
    wrong += of_file
    wrong += [f"{number} trees {end}" for end, number in attack.counts.items() if "ended" in end]
    ledger: dict[str, list[str]] = defaultdict(list)
    for line in _lines(folder / "ledger"):
        process, name = line.split()
        ledger[process].append(name)
    accounts = {(a := json.loads(line))["process"]: a for line in _lines(folder / "accounts")}
    lost: Counter[str] = Counter()
    for process, names in ledger.items():
        missing = sum(not shown[name] and name not in diverted for name in names)
        account = accounts.get(process)
        if account is not None and account["wrong"]:
            wrong.append(f"the accounts of {process} do not add up: {account['wrong']}")
        counted = account["dropped"] if account else 0
        lost["counted as dropped"] += min(missing, counted)
        missing = max(0, missing - counted)
        if has_spool and (account is None or account["pending"]):
            lost["in no spool"] += missing
        elif account is None:
            lost["of processes that were killed"] += missing
        elif missing:
            wrong.append(f"{process} lost {missing} of {len(names)} silently: {account}")
        if account is None and process not in attack.killed:
            wrong.append(f"{process} ended without a word, {missing} of {len(names)} missing")
    if has_spool and (missing := sum(lost.values())):
        wrong.append(f"{missing} records are missing, with a spool: {dict(lost)}")
    twice = sum(count - 1 for name, count in shown.items() if count > 1 and "." in name)
    if twice:
        wrong.append(f"{twice} records are shown twice")
    logged = sum(map(len, ledger.values()))
    print(f"processes {len(ledger)}, {dict(sorted(attack.counts.items()))}")
    number = sum(1 for names in ledger.values() for name in names if shown[name])
    # At the end of a process whose last request had no answer: it may have arrived.
    both = sum(1 for name in diverted if shown[name])
    print(f"records {logged}, shown {number}, diverted {len(diverted)}, of these also shown {both}")
    print(f"not shown: {dict(lost)}; shown twice {twice}")
    return wrong


def main() -> int:
    """Attack; return 0 if all accounts agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--spool", nargs="?", const="own", default="", help="a folder for it")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        _Tree(given.folder, given.seed, given.spool).run()
        return 0
    print(f"attack for {given.minutes:g} minutes, seed {given.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="forklog-attack-") as name,
        Emulator.start() as emulator,
    ):
        folder = Path(name)
        spool = str(folder / "spool") if given.spool else ""
        attack = _Attack(folder, emulator, given.seed, spool)
        attack.run(60 * given.minutes)
        wrong = _compare(folder, emulator, attack, has_spool=bool(spool))
        errors = _OF_THE_INTERPRETER.sub("", (folder / "stderr").read_text())
        wrong += [line for line in errors.splitlines() if "broken in the spool" in line]
        if "Traceback" in errors:
            place = errors.index("Traceback")
            wrong.append(f"tracebacks: {errors[max(0, place - 200) : place + 3000]}")
    for text in wrong:
        print(f"WRONG: {text}")
    print("all accounts agree" if not wrong else "something is off")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
