"""A celery application that `forklog.setup` sets up, as a newcomer would; celery is as it comes."""

from __future__ import annotations

import sys

import tasks
from celery import Celery
from celery.utils.log import get_task_logger

import forklog

app = Celery("setup")
app.conf.update(tasks.broker())
forklog.setup(max_latency=0.1)
logger = get_task_logger(__name__)


@app.task(name="shop.greet")
def greet(number: int) -> None:
    """Log by celery's task logger."""
    logger.info("task %s", number)


if __name__ == "__main__":
    for index in range(int(sys.argv[1])):
        greet.delay(index)
