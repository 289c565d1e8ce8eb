"""An application of celery; run as a program, it sends tasks from web requests."""

from __future__ import annotations

import sys
from typing import Any

import shared
import tasks
from celery import Celery

shared.LOGGING["loggers"]["celery"] = {"handlers": ["cloud"], "level": "INFO"}  # type: ignore[index]
shared.set_up()
app = Celery("tasks")
app.conf.update(tasks.broker(), worker_hijack_root_logger=False)


@app.task(name="shop.work")
def work(number: str) -> None:
    """Do the work of a task."""
    tasks.work(number)


def _send(number: str) -> Any:
    return work.delay(number)


if __name__ == "__main__":
    tasks.send_all(_send, int(sys.argv[1]))
