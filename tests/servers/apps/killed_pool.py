"""A ProcessPoolExecutor whose workers die; see `killed_app`."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import killed_app


def main() -> None:
    """Have one worker killed and one end, each with others beside it; then stay."""
    for how in ("kill", "exit"):
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            jobs = [pool.submit(killed_app.work, 20) for _ in range(4)]
            for job in jobs:
                job.result()
            dying = pool.submit(killed_app.work, 20, how)
            try:
                dying.result()
            except BrokenProcessPool:
                continue
    killed_app.note(1, "parent")
    time.sleep(60)


if __name__ == "__main__":
    main()
