"""A configuration and a dirty app of gunicorn whose processes examine themselves."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from gunicorn.dirty.app import DirtyApp

import forklog

LOGGER = logging.getLogger()
LOGGER.addHandler(forklog.CloudLoggingHandler(max_latency=60))
LOGGER.setLevel(logging.INFO)


def report(place: str) -> dict[str, Any]:
    """Examine this process, which has logged."""
    LOGGER.info("%s %d", place, os.getpid())
    return forklog.doctor(timeout=10).as_dict()


def report_of_child() -> dict[str, Any]:
    """Return what a child that this process forks sees of itself."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writer, "w") as stream:
            stream.write(json.dumps(report("child")))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        found: dict[str, Any] = json.loads(stream.read())
    os.waitpid(child, 0)
    return found


def on_dirty_starting(_arbiter: object) -> None:
    """Write down what the dirty arbiter sees of itself; gunicorn calls this by its name."""
    Path(os.environ["DOCTORED_FOLDER"], "dirty arbiter").write_text(json.dumps(report("arbiter")))


class Examined(DirtyApp):
    """Examines its process while it is loaded and while it serves."""

    def init(self) -> None:
        """Examine the process in its main thread."""
        self.boot = report("boot")

    def __call__(self, *_args: Any, **_kwargs: Any) -> str:
        """Return that report, one of now, and one of a child."""
        return json.dumps({"boot": self.boot, "now": report("now"), "child": report_of_child()})

    def close(self) -> None:
        """Log what only the end can deliver in time."""
        LOGGER.info("at the end of %d", os.getpid())


def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the reports of the dirty app."""
    from gunicorn.dirty import get_dirty_client  # noqa: PLC0415 - in the worker alone

    answer = get_dirty_client().execute("dirty_doctored:Examined", "examine")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [str(answer).encode()]
