"""A celery application that logs from its tasks, with the broker in a folder.

    celery -A app worker --loglevel INFO
    python app.py 20       sends twenty tasks

EXAMPLE_LOGGING chooses one of the three ways in which projects set up logging under celery.
"""

from __future__ import annotations

import logging.config
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery, current_task
from celery.signals import after_setup_logger, setup_logging

import forklog

FOLDER = Path(os.environ.get("EXAMPLE_BROKER", "broker"))
LINES = "%(process)d %(name)s: %(message)s"

FOLDER.mkdir(exist_ok=True)
app = Celery("app", broker="filesystem://localhost//")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "data_folder_in": str(FOLDER),
        "data_folder_out": str(FOLDER),
        "control_folder": str(FOLDER / "control"),
        "polling_interval": 0.1,
    },
    worker_log_format=LINES,
)


class TaskLabels(logging.Filter):
    """Label each record that is logged in a task with the task's name and id."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the labels; keep the record."""
        if current_task:
            labels = getattr(record, "labels", None) or {}
            record.labels = {**labels, "task": current_task.name, "id": current_task.request.id}
        return True


CLOUD: dict[str, Any] = {
    "log_name": "tasks",
    "max_latency": float(os.environ.get("EXAMPLE_MAX_LATENCY", "0.2")),
    "shutdown_timeout": float(os.environ.get("EXAMPLE_SHUTDOWN_TIMEOUT", "5")),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"format": LINES}},
    "filters": {"task": {"()": TaskLabels}},
    "handlers": {
        "cloud": {"class": "forklog.CloudLoggingHandler", "filters": ["task"], **CLOUD},
        "console": {"class": "logging.StreamHandler", "formatter": "lines"},
    },
    "root": {"level": "INFO", "handlers": ["cloud", "console"]},
}


def configure(**_signal: object) -> None:
    """Configure logging; celery does nothing of its own where `setup_logging` is connected."""
    logging.config.dictConfig(LOGGING)


def add_handler(logger: logging.Logger, **_signal: object) -> None:
    """Add the handler to the root logger, which celery has configured."""
    handler = forklog.CloudLoggingHandler(**CLOUD)
    handler.addFilter(TaskLabels())
    logger.addHandler(handler)


match os.environ.get("EXAMPLE_LOGGING", "setup_logging"):
    case "setup_logging":
        setup_logging.connect(configure)
    case "after_setup_logger":
        after_setup_logger.connect(add_handler)
    case "dictConfig":
        app.conf.worker_hijack_root_logger = False
        configure()


@app.task
def work(number: int, hold: float = 0.0) -> None:
    """Log twice, with some time in between."""
    logger = logging.getLogger("shop")
    logger.info("task %d begins in %d", number, os.getpid())
    time.sleep(hold)
    logger.info("task %d ends in %d", number, os.getpid())


if __name__ == "__main__":
    for index in range(int(sys.argv[1])):
        work.delay(index, *map(float, sys.argv[2:]))
