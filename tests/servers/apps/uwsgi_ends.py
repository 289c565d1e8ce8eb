"""The example application with requests that end their worker: by an exception, by an order.

A query of ``raise=KeyError`` logs and raises one with the text `TEXT`; ``order=reload`` calls that
function of the module ``uwsgi``, and ``exit=1`` calls `sys.exit`.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import uwsgi
from app import answer, log_records
from app import application as plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = "no such order"
ballast: list[bytes] = []


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Do as the example; or log three records and end, as the query asks."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if not query.keys() & {"raise", "order", "exit", "grow"}:
        return plain(environ, start_response)
    log_records(3, "request")
    time.sleep(float(query.get("hold", "0")))
    if "raise" in query:
        raise getattr(builtins, query["raise"])(TEXT)
    if "exit" in query:
        sys.exit(int(query["exit"]))
    if "grow" in query:
        ballast.append(b"x" * (int(query["grow"]) << 20))
    if "order" in query:
        getattr(uwsgi, query["order"])()
    return answer(start_response, HTTPStatus.OK, {"pid": os.getpid()})
