"""The processes of one tree, which the attacker starts; each writes a ledger and its accounts.

A tree has several handlers and threads, forks children, and has a signal handler raise exceptions
anywhere in the main thread. It flushes, closes and configures its handlers anew at random. A fork
is `os.fork` or one in C, of which no hook of Python's is called. In some trees no thread can be
started once the logging threads run: there each process sends inline.
"""

from __future__ import annotations

import ctypes
import json
import logging
import logging.config
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import forklog

HANDLERS = 3
_THREADS = 2
_STACK_BYTES = 2**47  # of a new thread: more than a process has addresses
_c_fork = ctypes.PyDLL(None).fork  # keeps the interpreter's lock, runs no hook


class _StruckError(Exception):
    """What the signal handler raises."""


def identity(pid: int) -> str:
    """Name a process for good: in an hour the system gives most PIDs out again.

    Raises:
        OSError: there is none with that PID.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid}-{fields[19]}"  # the time of its start


class Tree:
    """The processes of one tree; runs in each of them."""

    def __init__(self, folder: Path, seed: int, spool: str, *, is_inline: bool) -> None:
        """Configure handlers; start nothing.

        Args:
            folder: where ledger, accounts and the file of the last resort are.
            seed: of what it does.
            spool: the folder of a spool, or nothing.
            is_inline: have no thread of forklog's start.
        """
        self._folder, self._spool, self._is_inline = folder, spool, is_inline
        self._choose = random.Random(seed)  # noqa: S311 - a repeatable choice
        self._over = threading.Event()
        self._is_open = False  # to what the signal handler raises
        self._handlers: list[forklog.CloudLoggingHandler] = []
        self._begin()
        self._configure()

    def _begin(self) -> None:
        """Belong to the calling process: it accounts for itself alone."""
        self._me, self._number = identity(os.getpid()), 0
        self._replaced: list[forklog.CloudLoggingHandler] = []
        self._using: dict[int, forklog.CloudLoggingHandler] = {}  # by thread
        self._dropped = 0  # by handlers that were let go

    def _configure(self) -> None:
        """Have `dictConfig` close the handlers and make others, which log calls use from now on."""
        options: dict[str, Any] = {"max_latency": 0.02, "max_retry_delay": 1.0, "project": "attack"}
        options |= {"shutdown_timeout": 10, "last_resort": str(self._folder / "lost")}
        options |= {"class": "forklog.CloudLoggingHandler"}
        if self._spool:
            options["spool"] = self._spool
        names = [f"log{number}" for number in range(HANDLERS)]
        handlers = {name: {**options, "log_name": name} for name in names}
        loggers = {name: {"handlers": [name]} for name in names}
        self._replaced += self._handlers
        logging.config.dictConfig({"version": 1, "handlers": handlers, "loggers": loggers})
        found: list[Any] = [logging.getLogger(name).handlers[0] for name in names]
        self._handlers = found

    def _let_go(self) -> None:
        """Let go the handlers that were replaced, and that no thread is logging with.

        A struck `dictConfig` leaves some that are not closed, and have entries that wait. Without
        a spool such a handler is kept, because the server may still refuse one.
        """
        for handler in [*self._replaced]:
            is_used = handler in self._handlers or handler in self._using.values()
            stats = handler.stats()
            if not is_used and (self._spool or not stats.pending):
                self._dropped += sum(stats.dropped.values())
                self._replaced.remove(handler)
                self._write("done", "handlers let go")

    def _log(self, choose: random.Random, handler: forklog.CloudLoggingHandler) -> None:
        self._number += 1
        name = f"{self._me}.{threading.get_native_id()}.{self._number}.{choose.random()}"
        text = name + " x" * choose.choice([1, 10, 500])
        level = choose.choice([10, 20, 40])
        handler.handle(logging.LogRecord("attack", level, "/a.py", 1, text, None, None))
        self._write("ledger", f"{self._me} {name}")

    def _write(self, name: str, line: str) -> None:
        file = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)

    def _log_on(self, seed: float) -> None:
        choose, own = random.Random(seed), threading.get_native_id()  # noqa: S311
        while not self._over.wait(choose.uniform(0, 0.02)):
            number = choose.randrange(HANDLERS)
            self._using[own] = self._handlers[number]
            if self._using[own] is self._handlers[number]:  # else it may be let go already
                self._log(choose, self._using[own])

    def _account(self) -> None:
        if any(handler.stats().state == "inline" for handler in self._handlers):
            self._write("done", "inline processes")
        logging.shutdown()
        for handler in self._replaced:  # those of a struck `dictConfig` are in no list of logging's
            handler.close()
        every = [*self._handlers, *(h for h in self._replaced if h not in self._handlers)]
        stats = [handler.stats() for handler in every]
        lost = self._dropped + sum(sum(s.dropped.values()) for s in stats)
        wrong = [str(s) for s in stats if s.accepted != _settled(s) + s.pending]
        line = {"process": self._me, "dropped": lost, "wrong": wrong}
        line["pending"] = sum(s.pending for s in stats)
        self._write("accounts", json.dumps(line))

    def _child(self, depth: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._begin()
        if depth < 2 and self._choose.random() < 0.2:
            self._fork(depth + 1)  # before it has a thread
        for _ in range(self._choose.randint(1, 30)):
            self._log(self._choose, self._choose.choice(self._handlers))
        if depth < 2 and self._choose.random() < 0.3:
            if self._choose.random() < 0.3:
                for handler in self._handlers:
                    handler.close()
            self._fork(depth + 1)
        self._account()
        os._exit(0)

    def _fork(self, depth: int) -> None:
        """Fork, half of the times in C where the process has one thread.

        Beside threads a fork in C copies the interpreter's lock while one of them may wait for it.
        Then the child may wait for ever (docs/process-models.md).
        """
        is_alone = len([*Path("/proc/self/task").iterdir()]) == 1
        fork = _c_fork if is_alone and self._choose.random() < 0.5 else os.fork
        self._write("done", "forks in C" if fork is _c_fork else "forks")
        if not fork():
            self._choose.seed(os.getpid())
            self._child(depth)

    def _act(self) -> None:
        choice = self._choose.random()
        if choice < 0.7:
            self._log(self._choose, self._choose.choice(self._handlers))
        elif choice < 0.8:
            self._choose.choice(self._handlers).flush(0.05)
        elif choice < 0.82:
            self._choose.choice(self._handlers).close()
        elif choice < 0.86:
            self._is_open = False  # a child must not be struck half made
            self._fork(0)
        elif choice < 0.89:
            if choice < 0.875:  # it takes so long that it would be struck nearly each time
                self._is_open = False
            self._configure()
            self._write("done", "dictConfig")
        elif choice < 0.92:
            self._is_open = False  # so that its sum is right
            self._let_go()

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
        if self._is_inline:
            threading.stack_size(_STACK_BYTES)
        while not self._over.is_set():
            try:
                self._is_open = True
                signal.setitimer(signal.ITIMER_REAL, self._choose.uniform(0.0005, 0.02))
                self._act()
                time.sleep(self._choose.uniform(0, 0.01))
                self._is_open = False
            except (_StruckError, ValueError) as error:
                if not _is_struck(error):
                    raise
                self._write("done", "strikes")
        signal.setitimer(signal.ITIMER_REAL, 0)
        for thread in threads:
            thread.join()
        self._account()


def _settled(stats: forklog.Stats) -> int:
    return stats.delivered + sum(stats.diverted.values()) + sum(stats.dropped.values())


def _is_struck(error: BaseException | None) -> bool:
    """Tell whether the signal handler's is what `dictConfig` has made another of."""
    return error is not None and (isinstance(error, _StruckError) or _is_struck(error.__cause__))
