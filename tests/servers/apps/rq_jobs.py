"""What test_work_horse.py has a real `rq worker` do; logging is set up as a project would."""

from __future__ import annotations

import logging.config
import os
import signal
import time
from pathlib import Path

LEDGER = Path(os.environ.get("FORKLOG_TEST_LEDGER", os.devnull))

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        # A latency that outlives every job: only a hook can deliver in time.
        "handlers": {"cloud": {"class": "forklog.CloudLoggingHandler", "max_latency": 60}},
        # Not the root: rq.worker logs elsewhere, so the horse's first record comes from the job.
        "loggers": {"shop": {"level": "INFO", "handlers": ["cloud"]}},
    }
)


log = logging.getLogger("shop")


def note(text: str) -> None:
    """Log a record and note it down."""
    log.info(text)
    with LEDGER.open("a") as ledger:
        ledger.write(text + "\n")


def work(number: int) -> None:
    """Log twice; the second record waits, as the first was sent a moment before."""
    note(f"job {number} begins in {os.getpid()}")
    log.handlers[0].flush()
    note(f"job {number} ends in {os.getpid()}")


def fail(number: int) -> None:
    """Do so and raise."""
    work(number)
    raise ValueError(number)


def die(number: int) -> None:
    """Do so and be killed."""
    work(number)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
