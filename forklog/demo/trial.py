"""Runs one trial of the demo: a server mode with one handler, against an emulator; gives a row."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forklog.demo.kills import kill_workers
from forklog.demo.load import Answers, Plan, send_load
from forklog.demo.modes import WORKERS, Mode, example_folder
from forklog.demo.row import Row
from forklog.demo.server import Server
from forklog.demo.tally import compare, read_ledger, record_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forklog.emulator.process import Emulator


PROJECT = "forklog-demo"
_POLL_SECONDS = 0.05
_QUIET_SECONDS = 0.5
_QUIET_SECONDS_AFTER_END = 0.2  # its processes have ended, so nothing is on its way
_SETTLE_SECONDS = 15.0
_END_SHARE = 0.8  # of the patience, for a server to end
_RECORDS_UNDER_KILLS = 200  # of each request, so that a kill strikes while one logs
_REQUESTS_AT_ONCE = 8
_KILL_SECONDS = 20.0  # for a respawned worker to load the application and to log


@dataclass(frozen=True, slots=True)
class Trial:
    """A server mode and a handler to try.

    Args:
        mode: how uWSGI runs.
        handler: a name of `forklog.demo.modes.HANDLERS`.
        emulator: where the records go.
        folder: for the ledger and the server's log.
        patience: seconds after which a worker that never answered counts as hung; a server that has
            not ended after four fifths of it is killed.
        show: called with a few words whenever something was reached.

    """

    mode: Mode
    handler: str
    emulator: Emulator
    folder: Path
    patience: float
    show: Callable[[str], None]

    def run(self) -> Row:
        """Start the server, load it, end it, and compare; bounded in time."""
        log_name = f"{self.mode.name}-{self.handler}-{secrets.token_hex(4)}"
        ledger = self.folder / f"{log_name}.ledger"
        self.show("starting")
        with Server.start(
            example_folder() / self.mode.ini,
            self.folder,
            environ=self._environ(log_name, ledger),
        ) as server:
            server.wait_ready(WORKERS, self.mode.loads)
            under_kills, killed = self._kill_under_load(server, ledger)
            server.wait_ready(WORKERS, self.mode.loads + killed)
            answers = self._load(server, Plan(workers=WORKERS, patience=self.patience))
            # A server lives on after a request; what is left is for its end.
            self._settled(log_name, ledger)
            self.show("ending")
            has_ended = server.end(timeout=_END_SHARE * self.patience)
        entries = self._settled(log_name, ledger, _QUIET_SECONDS_AFTER_END)
        copies = [
            row["copies"] for row in self.emulator.duplicates() if row["logName"] == _full(log_name)
        ]
        return Row(
            mode=self.mode.name,
            handler=self.handler,
            answers=under_kills.and_then(answers),
            hung=WORKERS - len(answers.pids),
            tally=compare(read_ledger(ledger.read_text()), entries, () if killed else copies),
            has_ended=has_ended,
            killed=killed,
            wanted=self.mode.kills,
            resent=sum(count - 1 for count in copies) if killed else 0,
        )

    def _load(self, server: Server, plan: Plan) -> Answers:
        return send_load(
            server.url, plan, lambda now: self.show(_words(now.answered, now.requests))
        )

    def _kill_under_load(self, server: Server, ledger: Path) -> tuple[Answers, int]:
        """Have the workers log until so many of them were killed as the mode tells."""
        if not self.mode.kills:
            return Answers(), 0
        plan = Plan(
            workers=0,
            requests=_REQUESTS_AT_ONCE,
            at_once=_REQUESTS_AT_ONCE,
            records=_RECORDS_UNDER_KILLS,
            hold=0.0,
            patience=_KILL_SECONDS,  # requests wait until a worker has loaded the application
            timeout=_KILL_SECONDS,
        )
        answers = Answers()
        with ThreadPoolExecutor(1, thread_name_prefix="forklog-demo") as pool:
            killing = pool.submit(kill_workers, server, ledger, self.mode.kills, _KILL_SECONDS)
            while not killing.done():
                answers = answers.and_then(self._load(server, plan))
        return answers, killing.result()

    def _environ(self, log_name: str, ledger: Path) -> dict[str, str]:
        return {
            "EXAMPLE_HANDLER": self.handler,
            "EXAMPLE_LEDGER": str(ledger),
            "EXAMPLE_LOG_NAME": log_name,
            "EXAMPLE_SPOOL": str(ledger.with_suffix(".spool")),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "LOGGING_EMULATOR_HOST": self.emulator.host,
        }

    def _settled(
        self, log_name: str, ledger: Path, quiet: float = _QUIET_SECONDS
    ) -> list[dict[str, Any]]:
        """Wait until all records arrived, or until nothing more arrives; return what did."""
        self.show("waiting for deliveries")
        wanted = set(read_ledger(ledger.read_text()))
        chosen = f'logName="{_full(log_name)}"'
        end = time.monotonic() + _SETTLE_SECONDS
        entries: list[dict[str, Any]] = []
        quiet_since = time.monotonic()
        while True:
            before, entries = len(entries), self.emulator.entries(chosen, PROJECT)
            now = time.monotonic()
            quiet_since = now if len(entries) > before else quiet_since
            has_all = wanted <= {record_id(entry) for entry in entries}
            if has_all or now >= min(end, quiet_since + quiet):
                return entries
            time.sleep(_POLL_SECONDS)


def _full(log_name: str) -> str:
    return f"projects/{PROJECT}/logs/{log_name}"


def _words(answered: int, requests: int) -> str:
    return f"{answered} of {requests} requests answered"
