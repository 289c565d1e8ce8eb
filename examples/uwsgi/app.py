"""A WSGI application that logs at import, in requests, with `extra` and with exceptions.

    GET /              four records, one of each kind
    GET /?records=20   as many as that
    GET /?hold=0.1     take at least so many seconds, so that other workers get requests too

The answer is a line of JSON that says which process gave it. README.md lists the environment
variables. With EXAMPLE_LEDGER set, the process and id of each record are appended to that file. So
what arrived can be compared with what was logged.
"""

from __future__ import annotations

import json
import logging.config
import os
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

PROJECT = os.environ.get("GOOGLE_CLOUD_PROJECT", "my-project")
LOG_NAME = os.environ.get("EXAMPLE_LOG_NAME", "uwsgi-example")
MAX_RECORDS = 100_000
MAX_HOLD = 60.0

FORKLOG = {
    "class": "forklog.CloudLoggingHandler",
    "project": PROJECT,
    "log_name": LOG_NAME,
    "labels": {"app": "uwsgi-example"},
    "max_latency": float(os.environ.get("EXAMPLE_MAX_LATENCY", "0.2")),
    "flush_level": "ERROR",
}
HANDLERS = {
    "forklog": FORKLOG,
    # What a worker has logged outlives it, even where it is killed.
    "forklog-spool": {**FORKLOG, "spool": os.environ.get("EXAMPLE_SPOOL", "auto")},
    "stock": {
        "()": "stock.make_handler",
        "project": PROJECT,
        "log_name": LOG_NAME,
        "labels": {"app": "uwsgi-example"},
    },
}

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"cloud": HANDLERS[os.environ.get("EXAMPLE_HANDLER", "forklog")]},
        "loggers": {"shop": {"level": "INFO", "handlers": ["cloud"]}},
    }
)
logger = logging.getLogger("shop")

# Opened before any fork: with O_APPEND each line of each process goes to the end, whole.
ledger = os.open(
    os.environ.get("EXAMPLE_LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
)


def log_text(record_id: str) -> None:
    """Log a plain sentence."""
    logger.info("order taken id=%s", record_id)


def log_fields(record_id: str) -> None:
    """Log a sentence with structured fields; they become the entry's jsonPayload."""
    fields = {"id": record_id, "cart": {"items": 3, "total": 41.5}}
    logger.info("cart filled", extra={"json_fields": fields})


def log_labels(record_id: str) -> None:
    """Log a sentence with labels of its own, next to those of the handler."""
    logger.warning("stock is low", extra={"labels": {"id": record_id, "shelf": "7"}})


def log_exception(record_id: str) -> None:
    """Log an exception with its traceback."""
    try:
        {}["price"]
    except KeyError:
        logger.exception("no price id=%s", record_id)


KINDS = (log_text, log_fields, log_labels, log_exception)


def log_records(count: int, prefix: str) -> None:
    """Log so many records, of each kind in turn, and write down each that was logged."""
    for number in range(count):
        record_id = f"{prefix}-{uuid.uuid4().hex}"
        KINDS[number % len(KINDS)](record_id)
        os.write(ledger, f"{os.getpid()} {record_id}\n".encode())


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Log as many records as the URL asks for and say which process did it."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    try:
        count = min(int(query.get("records", ["4"])[0]), MAX_RECORDS)
        hold = min(float(query.get("hold", ["0"])[0]), MAX_HOLD)
    except ValueError as error:
        return answer(start_response, HTTPStatus.BAD_REQUEST, {"error": str(error)})
    log_records(count, "request")
    time.sleep(max(0.0, hold))
    return answer(start_response, HTTPStatus.OK, {"pid": os.getpid(), "records": count})


def answer(start_response: StartResponse, status: HTTPStatus, body: object) -> list[bytes]:
    """Answer with a line of JSON."""
    headers = [("Content-Type", "application/json")]
    start_response(f"{status.value} {status.phrase}", headers)
    return [json.dumps(body).encode() + b"\n"]


log_records(int(os.environ.get("EXAMPLE_BOOT_RECORDS", "4")), "boot")
