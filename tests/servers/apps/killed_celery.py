"""A celery application whose children die when they are asked to; see `killed_app`."""

from __future__ import annotations

import os
import sys

import killed_app
from celery import Celery
from kombu import Queue

app = Celery("killed_celery", broker=os.environ["KILLED_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_queues=[Queue("celery")],
    worker_lost_wait=0.5,
    worker_prefetch_multiplier=1,
)
if app.conf.broker_url.startswith("filesystem"):
    folder = os.environ["KILLED_BROKER_FOLDER"]
    app.conf.broker_transport_options = {
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": f"{folder}/control",
        "polling_interval": 0.1,
    }


@app.task(name="work")
def work(count: int, how: str = "") -> None:
    """See `killed_app.work`."""
    killed_app.work(count, how)


if __name__ == "__main__":
    for how in ("", "kill", "", "exit", "", "hang", ""):
        work.apply_async((20, how), time_limit=1 if how == "hang" else None)
    sys.exit(0)
