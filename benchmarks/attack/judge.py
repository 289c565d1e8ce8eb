"""Judges an attack: compares ledgers and accounts of all processes with what the emulator has."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

from forklog.emulator.process import Emulator


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


def has_all(folder: Path, emulator: Emulator) -> bool:
    """Tell whether each record of the ledger is shown, or in the last resort's file."""
    shown, (diverted, _) = _shown(emulator), _diverted(folder, 0)
    names = (line.split()[1] for line in _lines(folder / "ledger"))
    return all(name in shown or name in diverted for name in names)


def compare(
    folder: Path, emulator: Emulator, counts: Counter[str], killed: set[str], *, has_spool: bool
) -> list[str]:
    """Print the sums of an attack; return what is wrong.

    Args:
        folder: with the ledger, the accounts and the last resort's file.
        emulator: which the processes have sent to.
        counts: of what the attacker has done.
        killed: the processes that it has killed.
        has_spool: whether each process had a spool.
    """
    wrong: list[str] = []
    shown = _shown(emulator)
    diverted, of_file = _diverted(folder, counts["killed"])
    wrong += of_file
    wrong += [f"{number} trees {end}" for end, number in counts.items() if "ended" in end]
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
        if account is None and process not in killed:
            wrong.append(f"{process} ended without a word, {missing} of {len(names)} missing")
    if has_spool and (missing := sum(lost.values())):
        wrong.append(f"{missing} records are missing, with a spool: {dict(lost)}")
    twice = sum(count - 1 for name, count in shown.items() if count > 1 and "." in name)
    if twice:
        wrong.append(f"{twice} records are shown twice")
    logged = sum(map(len, ledger.values()))
    wrong += ["no process has logged"] * (not logged)
    print(f"processes {len(ledger)}, {dict(sorted(counts.items()))}")
    print(f"done {dict(sorted(Counter(_lines(folder / 'done')).items()))}")
    number = sum(1 for names in ledger.values() for name in names if shown[name])
    # At the end of a process whose last request had no answer: it may have arrived.
    both = sum(1 for name in diverted if shown[name])
    print(f"records {logged}, shown {number}, diverted {len(diverted)}, of these also shown {both}")
    print(f"not shown: {dict(lost)}; shown twice {twice}")
    return wrong
