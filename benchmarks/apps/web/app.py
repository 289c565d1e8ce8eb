"""A WSGI application that logs ten records a request, by the subject named in BENCH_SUBJECT."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.subjects import make
from benchmarks.work import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_BODY = b"hello\n"
_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(_BODY)))]

subject = make(os.environ["BENCH_SUBJECT"])
subject.start(int(os.environ["BENCH_PORT"]))
logger = subject.logger


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Log and greet."""
    for number in range(10):
        logger.info(MESSAGE, "alice", number, 0.25)
    start_response("200 OK", _HEADERS)
    return [_BODY]
