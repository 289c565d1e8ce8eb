"""A celery application whose main process and child examine themselves and write it down."""

from __future__ import annotations

import json
import logging
import logging.config
import os
from pathlib import Path

from celery import Celery
from celery.signals import setup_logging, worker_ready

import forklog

FOLDER = Path(os.environ["DOCTORED_FOLDER"])

app = Celery("celery_doctored", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(FOLDER),
        "data_folder_out": str(FOLDER),
        "control_folder": str(FOLDER / "control"),
    },
    broker_connection_retry_on_startup=True,
    task_time_limit=100,
)


def configure(**_signal: object) -> None:
    """Configure logging; celery leaves it alone where its signal calls this."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"cloud": {"class": "forklog.CloudLoggingHandler"}},
            "root": {"level": "INFO", "handlers": ["cloud"]},
        }
    )


if os.environ["DOCTORED_LOGGING"] == "setup_logging":
    setup_logging.connect(configure)
else:
    configure()


def write_down(name: str) -> None:
    """Examine this process; the file appears whole."""
    part = FOLDER / f"{name}.part"
    part.write_text(json.dumps(forklog.doctor(timeout=10).as_dict()))
    part.rename(FOLDER / name)


@worker_ready.connect
def begin(**_signal: object) -> None:
    """Examine the main process, then have a child do so."""
    write_down("main")
    examine.delay()


@app.task
def examine() -> None:
    """Examine a child of the pool that has logged."""
    logging.getLogger(__name__).info("in %d", os.getpid())
    write_down("child")
