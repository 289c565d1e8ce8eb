"""The celery application that test_celery.py runs; its tasks write a ledger of what they log."""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from pathlib import Path

from celery import Celery
from celery.signals import setup_logging

FOLDER = Path(os.environ.get("FORKLOG_TEST_BROKER", "."))
LEDGER = os.environ.get("FORKLOG_TEST_LEDGER", os.devnull)

app = Celery("celery_app", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(FOLDER),
        "data_folder_out": str(FOLDER),
        "control_folder": str(FOLDER / "control"),
    },
    broker_connection_retry_on_startup=True,
    worker_max_tasks_per_child=int(os.environ.get("FORKLOG_TEST_MAX_TASKS", "1000")),
)


@setup_logging.connect
def configure(**_signal: object) -> None:
    """Configure logging as a Django or Flask project would; celery leaves it alone then."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                # A latency that outlives the test: only the exit hooks can deliver in time.
                "cloud": {"class": "forklog.CloudLoggingHandler", "max_latency": 60}
            },
            "root": {"level": "INFO", "handlers": ["cloud"]},
        }
    )


@app.task
def work(number: int) -> None:
    """Log one record and note it down."""
    with Path(LEDGER).open("a") as ledger:
        ledger.write(f"{os.getpid()} {number}\n")
    logging.getLogger("celery_app.work").info("task %d in %d", number, os.getpid())


if __name__ == "__main__":
    for index in range(int(sys.argv[1])):
        work.delay(index)
