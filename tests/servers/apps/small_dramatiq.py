"""dramatiq's side of the small application: its worker processes log when they start and end."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker
from small_app import note


class Notes(dramatiq.Middleware):
    """Log where a worker process begins and ends."""

    def after_process_boot(self, _broker: Any) -> None:
        """Log the first record."""
        note("booted")

    def before_worker_shutdown(self, _broker: Any, _worker: Any) -> None:
        """Log the last one."""
        note("ends")


broker = StubBroker()
broker.add_middleware(Notes())
dramatiq.set_broker(broker)
