"""Attack trees of processes for minutes, then compare the ledger of each with the emulator.

``make soak`` runs it; ``--spool`` gives the processes a spool, ``--seed`` repeats a run.
Trees of processes log, fork, and are struck by exceptions; see `tree`. The server fails at random.
Processes are killed or stopped for a while at random. Each process writes down a record after its
log call, and its counters at its end. In the end every record of a process that was not killed is
shown, or counted as dropped. With a spool the server refuses no entry, and every record of every
process is shown or in the file of the last resort. None is shown twice.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from pathlib import Path

from benchmarks.attack.attacker import Attack
from benchmarks.attack.judge import compare
from benchmarks.attack.tree import Tree
from forklog.emulator.process import Emulator

# Raised in a callback of the garbage collection, where no exception can get out, whosever it is.
_OF_THE_INTERPRETER = re.compile(
    r"^Exception ignored in: .*\nTraceback .*\n(?:[ \n].*\n?)*?(?:\w+\.)*_StruckError: ?\n",
    re.MULTILINE,
)


def main() -> int:
    """Attack; return 0 if all accounts agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--spool", nargs="?", const="own", default="", help="a folder for it")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--inline", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        Tree(given.folder, given.seed, given.spool, is_inline=given.inline).run()
        return 0
    print(f"attack for {given.minutes:g} minutes, seed {given.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="forklog-attack-") as name,
        Emulator.start() as emulator,
    ):
        folder = Path(name)
        spool = str(folder / "spool") if given.spool else ""
        attack = Attack(folder, emulator, given.seed, spool)
        attack.run(60 * given.minutes)
        wrong = compare(folder, emulator, attack.counts, attack.killed, has_spool=bool(spool))
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
