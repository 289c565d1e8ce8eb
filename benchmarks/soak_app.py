"""The example application under the soak: after each request it writes its accounts down."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import app

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_handler = logging.getLogger("shop").handlers[0]
_folder = Path(os.environ["SOAK_FOLDER"])
_page = os.sysconf("SC_PAGE_SIZE")


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the example does, then append a line of numbers to this process's file."""
    body = app.application(environ, start_response)
    stats = _handler.stats()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _page
    line = {"time": time.monotonic(), "resident": resident, **stats.as_dict()}
    with (_folder / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return body
