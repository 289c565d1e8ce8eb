"""The attacker: starts trees, kills and stops processes, makes the server fail."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.attack.judge import has_all
from benchmarks.attack.tree import identity
from benchmarks.soak import _clear, _Events, _storm
from forklog.emulator.process import Emulator

_TREES = 3
_PATIENCE_SECONDS = 120.0  # for what a busy machine delays
_INLINE = 3  # one tree of so many has no flush threads


class Attack:
    """Start trees, kill and stop processes, make the server fail."""

    def __init__(self, folder: Path, emulator: Emulator, seed: int, spool: str) -> None:
        """Start nothing; ``spool`` is the folder of one, or nothing."""
        self._folder, self._emulator, self._spool = folder, emulator, spool
        self._choose = random.Random(seed)  # noqa: S311 - a repeatable attack
        self._trees: list[subprocess.Popen[bytes]] = []
        self.killed: set[str] = set()
        self.counts: Counter[str] = Counter()

    def _start(self) -> None:
        environ = {**os.environ, "LOGGING_EMULATOR_HOST": self._emulator.host}
        arguments = ["--folder", str(self._folder), "--seed", str(self._choose.randrange(10**6))]
        arguments += ["--spool", self._spool] if self._spool else []
        arguments += ["--inline"] * (self.counts["trees"] % _INLINE == 0)
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
                self.killed.add(identity(pid))
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
        _wait(lambda: not self._lives())  # children whose parent has gone
        if self._spool:
            self._start()
            _wait(lambda: has_all(self._folder, self._emulator))
            self._trees[-1].terminate()
            self._trees[-1].wait(60)

    def _lives(self) -> bool:
        """Tell whether a process of a tree lives: each has the command line of the first one."""
        wanted = str(self._folder).encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if wanted in path.read_bytes():
                    return True
        return False


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not until() and time.monotonic() < end:
        time.sleep(1.0)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]
