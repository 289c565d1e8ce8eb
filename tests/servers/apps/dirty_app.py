"""A dirty app of gunicorn that logs while it is loaded and while it serves."""

from __future__ import annotations

import logging
import os
from typing import Any

from gunicorn.dirty.app import DirtyApp

import forklog

HANDLER = forklog.CloudLoggingHandler(
    project="p",
    endpoint=os.environ["EXAMPLE_ENDPOINT"],
    max_latency=3600,  # only the end can deliver in time
    flush_level="CRITICAL",
)
LOGGER = logging.getLogger("dirty")
LOGGER.addHandler(HANDLER)
LOGGER.setLevel(logging.INFO)


class App(DirtyApp):
    """Logs at its start, and at each call."""

    def init(self) -> None:
        """Log as an application does that loads a model."""
        for number in range(3):
            LOGGER.info("loaded %d", number)

    def __call__(self, action: str, *_args: Any, **_kwargs: Any) -> str:
        """Log one action."""
        LOGGER.info("did %s", action)
        return action

    def close(self) -> None:
        """Log as an application does that lets go of a model."""
        LOGGER.info("closed")


def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Have the dirty app do something."""
    from gunicorn.dirty import get_dirty_client  # noqa: PLC0415 - in the worker alone

    answer = get_dirty_client().execute("dirty_app:App", "work")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(answer).encode()]
