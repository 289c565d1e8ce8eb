"""Run four uWSGI workers against a failing server for minutes, then compare all counts.

``make soak`` runs it, without and with a spool (``--spool``).
The example application logs at a steady rate. Faults come at random, and workers are killed with
SIGKILL at random, all but worker 1, whose memory is watched. In the end each record of the
application's ledger is in the emulator, counted as dropped, or was at risk when its worker was
killed. At risk is what was pending in that worker's last accounts, or logged by the request that it
was in. With a spool the server refuses no entry, and none may be missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forklog.demo.load import ask
from forklog.demo.server import Server
from forklog.demo.tally import record_id
from forklog.emulator.process import Emulator

_EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "uwsgi"
_WORKERS, _RECORDS, _CLIENTS = 4, 10, 4
_PAUSE = 0.1  # seconds between two requests of a client
_CALM = 3.0  # seconds without faults before a kill in a calm phase
_MAX_GROWTH = 4 * 2**20  # bytes that worker 1 may grow between the first and the last third


@dataclass
class _Events:
    """What the soak has done."""

    requests: int = 0
    unanswered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    killed: dict[int, str] = field(default_factory=dict)


def _load(url: str, over: threading.Event, events: _Events, lock: threading.Lock) -> None:
    while not over.wait(_PAUSE):
        pid = ask(f"{url}/?records={_RECORDS}", 10.0)
        with lock:
            events.requests += 1
            events.unanswered += pid is None


def _fault(choose: random.Random, *, has_spool: bool) -> tuple[str, dict[str, Any]]:
    """Choose a fault; with a spool none that loses an entry: it would hide what a kill loses."""
    status = choose.choice([429, 500, 503])
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("status", {"status": status, "retry_after": 0.3, "count": choose.randint(1, 4)}),
        ("delay", {"seconds": 0.3, "count": 4, "on": "write"}),
        ("drop", {"when": choose.choice(["before", "after"]), "count": 2, "on": "write"}),
        ("hang", {"when": choose.choice(["before", "after"]), "count": 1, "on": "write"}),
        ("idle_close", {"count": 4, "on": "write"}),
        ("outage", {"seconds": choose.choice([0.2, 2.0])}),
    ]
    if not has_spool:
        kinds.append(("refuse", {"index": choose.randint(0, 3), "count": 1}))
    return choose.choice(kinds)


def _storm(emulator: Emulator, choose: random.Random, events: _Events, *, has_spool: bool) -> None:
    """Arm one fault, and let it rage for a moment."""
    kind, options = _fault(choose, has_spool=has_spool)
    with contextlib.suppress(OSError):  # in an outage nothing can be armed
        emulator.fault(kind, **options)
        events.faults[kind] += 1
    time.sleep(choose.uniform(0.3, 2.0))


def _kill(server: Server, choose: random.Random, events: _Events, weather: str) -> None:
    workers = server.workers()
    number = choose.choice([n for n in workers if n != 1])
    pid = workers[number]
    if pid not in events.killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            events.killed[pid] = weather


def _clear(emulator: Emulator) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            emulator.clear_faults()
            return
        time.sleep(0.05)


def _rage(  # noqa: PLR0913 - all that it plays with
    emulator: Emulator,
    server: Server,
    seconds: float,
    seed: int,
    events: _Events,
    *,
    has_spool: bool,
) -> None:
    choose = random.Random(seed)  # noqa: S311 - a repeatable storm
    end = time.monotonic() + seconds
    said = 0.0
    while time.monotonic() < end:
        for _ in range(choose.randint(3, 7)):
            _storm(emulator, choose, events, has_spool=has_spool)
        if choose.random() < 0.5:
            _kill(server, choose, events, "storm")
        _clear(emulator)
        time.sleep(_CALM)
        if choose.random() < 0.7:
            _kill(server, choose, events, "calm")
        if time.monotonic() - said > 15:
            said = time.monotonic()
            left = max(0.0, end - said)
            print(
                f"  {left:4.0f} s left, {events.requests} requests, {len(events.killed)} kills",
                flush=True,
            )


def _lines(folder: Path) -> dict[int, list[dict[str, Any]]]:
    return {
        int(path.stem): [json.loads(line) for line in path.read_text().splitlines()]
        for path in folder.glob("*.jsonl")
    }


def _settle(server: Server, folder: Path) -> None:
    """Have every worker that lives write its last accounts, with nothing pending."""
    deadline = time.monotonic() + 60
    live: set[int] = set()
    while time.monotonic() < deadline:
        threads = [
            threading.Thread(target=ask, args=(f"{server.url}/?records=0&hold=0.05", 5.0))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        live = set(server.workers().values())
        lines = _lines(folder)
        if all(pid in lines and not lines[pid][-1]["pending"] for pid in live):
            return
        time.sleep(0.3)
    print(f"not settled: {[(pid, _lines(folder).get(pid, [])[-1:]) for pid in live]}")


@dataclass
class _Verdict:
    """The comparison of all accounts."""

    wrong: list[str] = field(default_factory=list)
    lost_by: Counter[str] = field(default_factory=Counter)
    refused: int = 0


def _compare(
    ledger: dict[int, list[str]],
    shown: Counter[str],
    lines: dict[int, list[dict[str, Any]]],
    killed: dict[int, str],
) -> _Verdict:
    """Compare; `_judge_spooled` has the last word where there is a spool."""
    verdict = _Verdict()
    for pid, own in lines.items():
        for line in own:
            settled = line["delivered"] + sum(line["dropped"].values())
            if line["accepted"] != settled + line["pending"]:
                verdict.wrong.append(f"accounts of {pid} do not add up: {line}")
    for pid, ids in ledger.items():
        last = lines.get(pid, [{"dropped": {}, "pending": 0}])[-1]
        dropped = sum(last["dropped"].values())
        missing = [name for name in ids if not shown[name]]
        verdict.refused += min(dropped, len(missing))
        if pid not in killed:
            if len(missing) > dropped:
                verdict.wrong.append(f"{pid} lost {len(missing) - dropped} records silently")
            continue
        lost = max(0, len(missing) - dropped)
        verdict.lost_by[killed[pid]] += lost
        at_risk = last["pending"] + 2 * _RECORDS  # two requests: one may be answered, not noted
        if lost > at_risk:
            verdict.wrong.append(f"{pid}, killed in {killed[pid]}: lost {lost} of {at_risk}")
    twice = sum(count - 1 for count in shown.values() if count > 1)
    if twice:
        verdict.wrong.append(f"{twice} records are shown twice")
    return verdict


def _judge_spooled(verdict: _Verdict) -> None:
    """Demand all records: with a spool a kill takes nothing, and the server refused nothing."""
    lost = sum(verdict.lost_by.values())
    if lost:
        verdict.wrong.append(f"{lost} records of killed workers were in no spool")
    if verdict.refused:
        verdict.wrong.append(f"{verdict.refused} records were dropped, and none was refused")


def _recover(folder: Path, emulator: Emulator) -> None:
    """Send what is left in the spool, as an operator would."""
    command = [sys.executable, "-m", "forklog", "recover", str(folder), "--endpoint", emulator.url]
    subprocess.run(command, check=True)


def _memory(lines: list[dict[str, Any]], wrong: list[str]) -> str:
    third = len(lines) // 3
    first, last = (
        statistics.median(line["resident"] for line in part)
        for part in (lines[third // 3 : third], lines[-third:])
    )
    minutes = (lines[-1]["time"] - lines[0]["time"]) / 60
    if last - first > _MAX_GROWTH:
        wrong.append(f"worker 1 grew by {(last - first) / 2**20:.1f} MiB")
    most = max(line["resident"] for line in lines)
    return (
        f"{first / 2**20:.1f} MiB in the first third, {last / 2**20:.1f} MiB in the last, at most "
        f"{most / 2**20:.1f} MiB, over {minutes:.1f} minutes and {len(lines)} requests"
    )


def _ini(folder: Path) -> Path:
    text = (_EXAMPLE / "prefork.ini").read_text()
    paths = f"pythonpath = {_EXAMPLE}\npythonpath = {Path(__file__).parent}"
    path = folder / "soak.ini"
    text = text.replace("pythonpath = %d", paths).replace("module = app", "module = soak_app")
    path.write_text(text)
    return path


def _run(folder: Path, minutes: float, seed: int, *, has_spool: bool) -> int:
    ledger_path, spool = folder / "ledger", folder / "spool"
    events, lock, over = _Events(), threading.Lock(), threading.Event()
    with Emulator.start() as emulator:
        environ = {
            "LOGGING_EMULATOR_HOST": emulator.host,
            "GOOGLE_CLOUD_PROJECT": "soak",
            "EXAMPLE_LEDGER": str(ledger_path),
            "SOAK_FOLDER": str(folder),
            "EXAMPLE_HANDLER": "forklog-spool" if has_spool else "forklog",
            "EXAMPLE_SPOOL": str(spool),
        }
        with Server.start(_ini(folder), folder, environ=environ) as server:
            server.wait_ready(_WORKERS)
            _settle(server, folder)
            first = server.workers()[1]
            clients = [
                threading.Thread(target=_load, args=(server.url, over, events, lock))
                for _ in range(_CLIENTS)
            ]
            for client in clients:
                client.start()
            _rage(emulator, server, minutes * 60, seed, events, has_spool=has_spool)
            _clear(emulator)
            over.set()
            for client in clients:
                client.join()
            _settle(server, folder)
            time.sleep(1.0)  # for the workers that were killed last to be replaced
            has_ended = server.end(signal.SIGTERM, 20.0)
        if has_spool:
            _recover(spool, emulator)
        entries = emulator.entries()
        copies = sum(entry["copies"] - 1 for entry in emulator.duplicates())
    ledger: dict[int, list[str]] = defaultdict(list)
    for line in ledger_path.read_text().splitlines():
        pid, name = line.split()
        ledger[int(pid)].append(name)
    shown = Counter(name for entry in entries if (name := record_id(entry)))
    lines = _lines(folder)
    verdict = _compare(ledger, shown, lines, events.killed)
    if has_spool:
        _judge_spooled(verdict)
    if not has_ended:
        verdict.wrong.append("the server did not end within 20 s")
    _report(events, ledger, shown, copies, verdict, _memory(lines[first], verdict.wrong))
    return 1 if verdict.wrong else 0


def _report(  # noqa: PLR0913, PLR0917 - the numbers of the end
    events: _Events,
    ledger: dict[int, list[str]],
    shown: Counter[str],
    copies: int,
    verdict: _Verdict,
    memory: str,
) -> None:
    logged = sum(map(len, ledger.values()))
    delivered = sum(bool(shown[name]) for ids in ledger.values() for name in ids)
    unwritten = len(set(shown) - {name for ids in ledger.values() for name in ids})
    kills = Counter(events.killed.values())
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(events.faults.items()))
    at_risk = ", ".join(f"{verdict.lost_by[w]} by {kills[w]} kills in {w}" for w in sorted(kills))
    print(f"requests            {events.requests}, unanswered {events.unanswered}")
    print(f"faults              {faults}")
    print(f"processes           {len(ledger)}, killed {len(events.killed)}")
    print(f"records logged      {logged}")
    print(f"shown               {delivered}, and {unwritten} whose worker died before its ledger")
    print(f"dropped, counted    {verdict.refused}")
    print(f"lost with a kill    {at_risk or 0}")
    silent = logged - delivered - verdict.refused - sum(verdict.lost_by.values())
    print(f"lost silently       {silent}")
    twice = sum(count - 1 for count in shown.values())
    print(f"shown twice         {twice}, hidden by insertId {copies}")
    print(f"memory of worker 1  {memory}")
    for text in verdict.wrong:
        print(f"WRONG: {text}")
    print("all accounts agree" if not verdict.wrong else "something is off")


def main() -> int:
    """Soak; return 0 if all accounts agree, the server ended, and memory stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--spool", action="store_true", help="with a spool")
    given = parser.parse_args()
    how = "with" if given.spool else "without"
    print(f"soak for {given.minutes:g} minutes {how} a spool, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="forklog-soak-") as folder:
        return _run(Path(folder), given.minutes, given.seed, has_spool=given.spool)


if __name__ == "__main__":
    sys.exit(main())
