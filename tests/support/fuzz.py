"""Log records of every kind by the hundred thousand, and compare all accounts with the emulator's.

``python tests/support/fuzz.py --records 1000000 --seed 7`` runs it; `test_fuzz` runs a part.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import logging
import math
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from corpus import NoText, Point, Raises

from forklog import CloudLoggingHandler
from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 10_000
_TEXTS = ["", "plain", "é😀", "\ud800", "\x00\x1b[0m\n", "%s", "{}", '{"a": 1}', '"\\', "x" * 3000]
_KEYS = ["a", "message", "", "severity", "logging.googleapis.com/trace", "é", "k" * 600]
_NAMES = ["labels", "json_fields", "http_request", "trace", "span_id", "resource", "own"]


class Outcome(NamedTuple):
    """What a run has found."""

    logged: int
    raised: Counter[str]
    accepted: int
    delivered: int
    dropped: dict[str, int]
    shown: int
    missing: int
    repeated: int
    seconds: float

    def is_well(self) -> bool:
        """Tell whether none was raised, dropped or lost, and none came twice."""
        wrong = sum(self.raised.values()) + sum(self.dropped.values()) + self.missing
        return not wrong + self.repeated and self.accepted == self.delivered == self.shown


def value(choose: random.Random, depth: int = 0) -> Any:
    """Return a value of any kind."""
    plain: list[Callable[[], Any]] = [
        lambda: choose.choice(_TEXTS),
        lambda: choose.randint(-(2**70), 2**70),
        lambda: choose.choice([math.nan, math.inf, 1e308, -0.0, True, None, b"\xff", 10**400]),
        lambda: choose.choice([Raises(), NoText(), Point(1, 2), object, dt.date(2026, 1, 2)]),
    ]
    if depth < 4:
        plain += [
            lambda: [value(choose, depth + 1) for _ in range(choose.randint(0, 4))],
            lambda: {key(choose): value(choose, depth + 1) for _ in range(choose.randint(0, 4))},
            lambda: (value(choose, depth + 1), {choose.random()}),
        ]
    return choose.choice(plain)()


def key(choose: random.Random) -> Any:
    """Return a key of any kind."""
    return choose.choice([*_KEYS, 1, None, 1.5, (1, "a")])


def log_one(logger: logging.Logger, choose: random.Random) -> None:
    """Log one record of a random kind."""
    level = choose.choice([10, 20, 30, 40, 50, 1, 7, 99])
    names = choose.sample(_NAMES, choose.randint(0, 3))
    extra = {name: value(choose) for name in names} or None
    msg = choose.choice([*_TEXTS, value(choose)])
    args = tuple(value(choose) for _ in range(choose.choice([0, 0, 1, 2])))
    error: Any = None
    if choose.random() < 0.1:
        error = choose.choice([True, ValueError(choose.choice(_TEXTS)), KeyError(Raises())])
    logger.log(level, msg, *args, extra=extra, exc_info=error, stack_info=choose.random() < 0.05)


def run(emulator: Emulator, records: int, seed: int) -> Outcome:
    """Log so many records in chunks, and compare the accounts after each."""
    choose = random.Random(seed)  # noqa: S311 - a repeatable choice
    handler = CloudLoggingHandler(
        endpoint=emulator.url,
        project="fuzz",
        max_buffer_bytes=2**30,
        last_resort="none",
        answer_timeout=120,
    )
    raised: Counter[str] = Counter()
    shown = missing = repeated = 0
    began = time.monotonic()
    for start in range(0, records, _CHUNK):
        emulator.reset()
        end = min(start + _CHUNK, records)
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            for number in range(start, end):
                logger = logging.Logger(f"fuzz.{number}", -100)  # noqa: LOG001 - leaves no trace
                logger.addHandler(handler)
                try:
                    log_one(logger, choose)
                except Exception as error:  # noqa: BLE001 - what no log call may raise
                    raised[type(error).__name__] += 1
            raised["stderr"] += bool(stderr.getvalue())
        handler.flush(300)
        entries = emulator.entries()
        shown += len(entries)
        names = Counter(entry.get("labels", {}).get("python_logger") for entry in entries)
        missing += sum(not names[f"fuzz.{number}"] for number in range(start, end))
        repeated += len(entries) - len({entry["insertId"] for entry in entries})
        if end % (10 * _CHUNK) == 0:
            print(f"  {end} logged, {shown} shown, {missing} missing", flush=True)  # noqa: T201
    stats = handler.stats()
    handler.close()
    numbers = stats.accepted, stats.delivered, dict(stats.dropped)
    return Outcome(records, +raised, *numbers, shown, missing, repeated, time.monotonic() - began)


def main() -> int:
    """Run; print what was found; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201
    with Emulator.start() as emulator:
        outcome = run(emulator, given.records, given.seed)
    print(outcome)  # noqa: T201
    return 0 if outcome.is_well() else 1


if __name__ == "__main__":
    sys.exit(main())
