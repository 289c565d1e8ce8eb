"""A celery application whose tasks log and then take their time; see test_celery_ends.py.

What was logged stands in a ledger. `max_latency` outlives the test, so that only a hook at the end
of a process delivers.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
from pathlib import Path

from celery import Celery
from celery.signals import beat_init, setup_logging

import forklog

app = Celery("celery_ends", broker=os.environ["ENDS_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=float(os.environ.get("ENDS_SOFT", "0")),
)
ledger = Path(os.environ["ENDS_LEDGER"])
logger = logging.getLogger("ends")


@setup_logging.connect(weak=False)
def configure(**_signal: object) -> None:
    """Log to the emulator, and nothing of celery's own."""
    latency, spool = float(os.environ.get("ENDS_LATENCY", "60")), os.environ.get("ENDS_SPOOL")
    handler = forklog.CloudLoggingHandler(project="ends", max_latency=latency, spool=spool)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def log(what: str) -> None:
    """Log a record and write down that it was logged."""
    name = f"{what}-{os.getpid()}-{uuid.uuid4().hex}"
    logger.info(name)
    with ledger.open("a") as lines:  # each time, because beat closes all descriptors in a worker
        lines.write(f"{name}\n")


@beat_init.connect(weak=False)
def begin_beat(**_signal: object) -> None:
    """Log in the process of beat, before its first turn."""
    log("beat")
    log("beat")


@app.task(name="work")
def work(hold: float) -> None:
    """Have a record delivered; log, take so long, log again."""
    log("first")
    forklog.flush()
    log("begin")
    time.sleep(hold)
    log("end")


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        work.delay(float(sys.argv[2]))
