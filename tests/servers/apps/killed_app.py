"""An application that dies when it is asked to; its handler has a spool.

Each record is written down once its log call has returned. KILLED_FOLDER is the spool,
KILLED_LEDGER the file of what was logged.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from forklog import CloudLoggingHandler

try:
    import uwsgi
except ImportError:  # under gunicorn
    uwsgi = None

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

HANG_SECONDS = 60
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT

logger = logging.getLogger("killed")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(
    CloudLoggingHandler(
        project="killed",
        spool=os.environ["KILLED_FOLDER"],
        max_buffer_bytes=int(os.environ.get("KILLED_MEMORY", "33554432")),
        max_latency=float(os.environ.get("KILLED_LATENCY", "0.2")),
        shutdown_timeout=2.0,
    )
)
# Opened before any fork: with O_APPEND each line of each process goes to the end, whole.
ledger = os.open(os.environ["KILLED_LEDGER"], FLAGS, 0o600)


def note(count: int, prefix: str = "request") -> None:
    """Log so many records, and write down each."""
    for _ in range(count):
        text = f"{prefix}-{os.getpid()}-{uuid.uuid4().hex}"
        logger.info(text)
        os.write(ledger, f"{text}\n".encode())


def note_for_ever() -> None:
    """Log until the process is killed."""
    while True:
        note(5, "busy")
        time.sleep(0.001)


def end(how: str) -> None:
    """End this process without any hook, or hang until a server does it."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(0)
    time.sleep(HANG_SECONDS)


def work(count: int, how: str = "") -> None:
    """Log, in a task of a queue; then end this process if that is asked for."""
    note(count, "task")
    if how:
        end(how)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Log as many records as the URL asks for; then end, or answer."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if "busy" in query:
        threading.Thread(target=note_for_ever, daemon=True).start()
    note(int(query.get("records", "3")))
    if "end" in query:
        end(query["end"])
    elif "spool" in query:
        uwsgi.spool({b"end": query["spool"].encode()})
    elif "mule" in query:
        uwsgi.mule_msg(query["mule"].encode(), 1)
    time.sleep(float(query.get("hold", "0")))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid()}).encode()]


def spooled(arguments: dict[bytes, bytes]) -> int:
    """Log in uWSGI's spooler, and end it if that is asked for, at the first time."""
    note(20, "spooler")
    ended = Path(os.environ["KILLED_LEDGER"] + ".ended")
    if arguments[b"end"] == b"kill" and not ended.exists():
        ended.touch()
        end("kill")
    return int(uwsgi.SPOOL_OK)


def kill_at_birth() -> None:
    """After forklog's hook, kill the first worker."""
    born = Path(os.environ["KILLED_LEDGER"] + ".born")
    after_fork()
    if not born.exists():
        born.touch()
        end("kill")


if uwsgi is not None:
    uwsgi.spooler = spooled
    if "KILLED_AT_BIRTH" in os.environ:
        after_fork, uwsgi.post_fork_hook = uwsgi.post_fork_hook, kill_at_birth
note(int(os.environ.get("KILLED_BOOT", "4")), "boot")
