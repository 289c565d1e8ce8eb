"""The example of celery whose children end slowly while they hold billiard's lock.

billiard's `SemLock.__exit__` is a function of Python: a signal may come before its first line.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from app import app as example
from app import work
from billiard.process import current_process
from celery.signals import worker_process_shutdown

app = example
HELD = 0.5


class Lock:
    """A lock that is held for a while after what was to be done with it."""

    def __init__(self, lock: Any) -> None:
        """Take billiard's lock."""
        self._lock = lock

    def __enter__(self) -> None:
        """Wait for the lock, as it does."""
        self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        """Have the parent answer before the lock is free."""
        time.sleep(HELD)
        self._lock.__exit__(*error)


@worker_process_shutdown.connect(weak=False)
def slow_down(**_signal: object) -> None:
    """Hold the lock longer for the last message, which the parent answers by SIGTERM."""
    results = current_process().outq
    results._wlock = Lock(results._wlock)


if __name__ == "__main__":
    for index in range(int(sys.argv[1])):
        work.delay(index)
