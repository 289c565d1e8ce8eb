"""Run the table: ``python -m benchmarks [--only caller,idle] [--quick] [--write]``.

A full run rewrites benchmarks/results/full.json, and the measured part of docs/performance.md with
its plots. Any other run prints only, and leaves benchmarks/results/last.json; ``--write`` has it
write the docs as well.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from benchmarks.bench import Bench
from benchmarks.noise import Noise, machine
from benchmarks.page import save, write_docs
from benchmarks.result import Result
from benchmarks.rows import ON_DEMAND, ROWS
from benchmarks.table import plain

_KNOWN = (*ROWS, *ON_DEMAND)


def main() -> None:
    """Run the rows that were asked for."""
    options = _options()
    wanted = [name for name in _KNOWN if name in (options.only or ROWS)]
    noise, results = Noise(), {}
    print(machine())
    with Bench(quick=options.quick) as bench:
        for name in wanted:
            noise.sample()
            begin = time.monotonic()
            results[name] = importlib.import_module(f"benchmarks.rows.{name}").run(bench)
            _show(results[name], time.monotonic() - begin)
    noise.sample()
    report = noise.report()
    heads = ["what", "target", "measured", "verdict"]
    print("\n" + plain(heads, [_cells(r) for one in results.values() for r in one.lines]))
    print(f"\nnoise: {report['text']}\n{report['seconds']:.0f} s in all")
    is_full = not options.only and not options.quick
    path = save(results, report, is_full=is_full, is_quick=options.quick)
    if is_full or options.write:
        write_docs(results, report)
    print(f"samples: {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help=f"row names with commas: {', '.join(_KNOWN)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--write", action="store_true", help="write the docs whatever was run")
    options = parser.parse_args()
    options.only = [name for name in options.only.replace(" ", ",").split(",") if name]
    if unknown := set(options.only) - set(_KNOWN):
        sys.exit(f"no row {', '.join(sorted(unknown))}; the rows are {', '.join(_KNOWN)}")
    return options


def _cells(line: object) -> list[str]:
    return [line.what, line.target, line.measured, line.verdict()]  # type: ignore[attr-defined]


def _show(result: Result, seconds: float) -> None:
    print(f"\n== {result.title} ({seconds:.0f} s)\n")
    print(plain(result.heads, result.figures), flush=True)
    if result.note:
        print(result.note, flush=True)


main()
