"""Measure the true memory of records that a stalled server keeps waiting.

Run it with ``python -m benchmarks.memory``.

Each row is a fresh interpreter that logs against a server which accepts and never answers. Memory
is the growth of the process's PSS, so the allocator's waste and the request under way are in it.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

_MIB = 2**20
_RECORDS = 1_000_000
_ROWS = (("default bound", 32 * _MIB, 0), ("holds them all", 2**30, 0), ("1 KB each", 2**31, 1000))


def _pss() -> int:
    """Return the process's proportional set size in bytes."""
    text = Path("/proc/self/smaps_rollup").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def _measure(url: str, bound: int, size: int) -> dict[str, float]:
    from forklog import CloudLoggingHandler  # noqa: PLC0415 - only in the measured interpreter

    handler = CloudLoggingHandler(
        endpoint=url, project="p", max_buffer_bytes=bound, shutdown_timeout=0.0, last_resort="none"
    )
    logger = logging.Logger("bench")  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    logger.info("the first one connects")
    handler.flush(1.0)
    before, padding = _pss(), "x" * size
    for number in range(_RECORDS):
        logger.info("user %s did %d things in %.3f s%s", "someone", number, 0.125, padding)
    stats = handler.stats()
    grown = _pss() - before
    result = {
        "pending": stats.pending,
        "dropped": sum(stats.dropped.values()),
        "wire": stats.pending_bytes,
        "grown": grown,
    }
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.pending
    handler.close()
    return result


def _row(url: str, name: str, bound: int, size: int) -> bool:
    command = [sys.executable, "-m", "benchmarks.memory", url, str(bound), str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = json.loads(done.stdout)
    wire = found["wire"] / found["pending"]
    true = found["grown"] / found["pending"]
    target = 1.25 * wire + 100
    print(
        f"{name:>15} {bound / _MIB:8.0f} {found['pending']:10,} {found['dropped']:10,} "
        f"{found['wire'] / _MIB:9.1f} {found['grown'] / _MIB:9.1f} {wire:8.0f} {true:8.0f} "
        f"{target:8.0f}  {'met' if true <= target else 'MISSED'}"
    )
    return true <= target


def main() -> int:
    """Measure every row; return 0 if all of them meet the target."""
    if len(sys.argv) > 1:
        url, bound, size = sys.argv[1:]
        print(json.dumps(_measure(url, int(bound), int(size))))
        return 0
    with socket.create_server(("127.0.0.1", 0)) as stalled:  # connects, by its queue; no answer
        url = f"http://127.0.0.1:{stalled.getsockname()[1]}"
        print(f"{_RECORDS:,} records against a stalled server; MiB, and bytes a pending record")
        print(
            f"{'':>15} {'bound':>8} {'pending':>10} {'dropped':>10} {'wire MiB':>9} "
            f"{'PSS MiB':>9} {'wire B':>8} {'PSS B':>8} {'target':>8}"
        )
        results = [_row(url, *row) for row in _ROWS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
