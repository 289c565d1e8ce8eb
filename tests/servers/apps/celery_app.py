"""The example of celery with a task more, for test_celery.py."""

from __future__ import annotations

import logging
import os
import signal
import sys

from app import app, work

app.conf.worker_lost_wait = 1.0
logger = logging.getLogger("shop")


@app.task(name="die")
def die() -> None:
    """Log, have it delivered, log again and be killed before that is."""
    logger.info("delivered before the kill")
    for handler in logging.getLogger().handlers:
        handler.flush()
    logger.info("at risk")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die.delay()
    for index in range(int(sys.argv[1])):
        work.delay(index)
