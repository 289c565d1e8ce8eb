"""The example application with more ways to get a process: forks, spoolers, mules, a second app.

LIVES_AT_IMPORT=fork has it fork a child while it is imported, which logs and stays for a while.
"""

from __future__ import annotations

import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import uwsgi
from app import answer, log_records
from app import application as plain

import forklog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

STAY_SECONDS = 60
PATIENCE_SECONDS = 15


def spooled(arguments: dict[bytes, bytes]) -> int:
    """Log what was asked for, in the spooler."""
    log_records(int(arguments[b"records"]), "spooled")
    return int(uwsgi.SPOOL_OK)


uwsgi.spooler = spooled


def fork_and_log(stay: float) -> int:
    """Fork a child that logs, stays until it has delivered, and ends without any exit hook."""
    child = os.fork()
    if not child:
        log_records(3, "forked")
        time.sleep(stay)
        deadline = time.monotonic() + PATIENCE_SECONDS  # for a processor, on a busy machine
        while any(stats.pending for stats in forklog.stats()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os._exit(0)
    return child


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Do as the example; or fork, or have a spooler or a mule log, as the query asks."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if "spool" in query:
        uwsgi.spool({b"records": query["spool"][0].encode()})
    elif "mule" in query:
        uwsgi.mule_msg(query["mule"][0].encode(), 1)
    elif "fork" in query:
        child = fork_and_log(float(query["fork"][0]))
        os.waitpid(child, 0)
    else:
        return plain(environ, start_response)
    return answer(start_response, HTTPStatus.OK, {"pid": os.getpid()})


if os.environ.get("LIVES_AT_IMPORT") == "fork":
    fork_and_log(STAY_SECONDS)
