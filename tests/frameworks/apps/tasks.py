"""Tasks of celery and jobs of RQ, and a web request that sends one; run by test_queues.py."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import shared

from forklog.middleware import WSGIMiddleware

SPAN = "00f067aa0ba902b7"
_SPAN_OF_ALL = f"-{SPAN}-01"


def work(number: str) -> None:
    """Log in a task; the last of the numbers fails."""
    shared.work(number)
    if number == "0":
        raise RuntimeError(number)


def send_all(send: Any, count: int) -> None:
    """Have so many web requests at once send a task each."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        send(environ["QUERY_STRING"])
        start_response("200 OK", [])
        return [b""]

    web = WSGIMiddleware(app)

    def ask(number: int) -> None:
        trace = f"00-{number + 1:032x}{_SPAN_OF_ALL}"
        body: Any = web({"QUERY_STRING": str(number), "HTTP_TRACEPARENT": trace}, lambda *_: None)
        body.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(count)))


def broker() -> dict[str, Any]:
    """Return celery's settings for a broker that is a folder."""
    folder = Path(os.environ["EXAMPLE_BROKER"])
    folder.mkdir(exist_ok=True)
    places = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), str(folder))
    return {"broker_url": "filesystem://", "broker_transport_options": places}


def wait_for(path: Path, count: int) -> None:
    """Wait until a file has so many lines."""
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().splitlines()) < count:
        if time.monotonic() > deadline:
            sys.exit("the tasks were not done")
        time.sleep(0.05)
