"""A WSGI application that examines itself: at import, and in each request, whose answer it is.

/?end logs one record that only an exit hook can deliver in time; /?child examines a child, too.
The level is DEBUG, so that what the examination itself does is logged as well, where it may be.
"""

from __future__ import annotations

import importlib
import json
import logging
import logging.config
import os
import sys
import threading
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forklog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection
    from wsgiref.types import StartResponse, WSGIEnvironment

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "cloud": {
                "class": "forklog.CloudLoggingHandler",
                "max_latency": 60,
                "spool": os.environ.get("DOCTORED_SPOOL"),
            }
        },
        "root": {"level": "DEBUG", "handlers": ["cloud"]},
    }
)
logging.getLogger().error("boot %d", os.getpid())
for name in os.environ.get("DOCTORED_IMPORTS", "").split():
    importlib.import_module(name)
if os.environ.get("DOCTORED_OVERWRITES"):
    import uwsgidecorators  # noqa: F401 - it takes uwsgi.post_fork_hook
boot_threads: set[str] = set()
# Not under gevent: with a profile function of its threads set once, CPython 3.15 dies of a
# segmentation fault at the worker's end.
if "gevent" not in sys.modules:
    threading.setprofile(lambda *_: boot_threads.add(threading.current_thread().name))
BOOT = forklog.doctor(timeout=10).as_dict()
threading.setprofile(None)  # type: ignore[arg-type]


def examine(answer: Connection) -> None:
    """Examine a child of multiprocessing."""
    answer.send(forklog.doctor(timeout=10).as_dict())


def child() -> dict[str, object]:
    """Return what a forked child of multiprocessing sees of itself."""
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=examine, args=(writer,))
    process.start()
    report: dict[str, object] = reader.recv() if reader.poll(30) else {}
    process.join(10)
    return report


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer as `application` does, under an ASGI server."""
    if scope["type"] != "http":
        return
    await receive()
    body = application({"QUERY_STRING": scope["query_string"].decode()}, lambda *_: None)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"".join(body)})


def job(path: str) -> None:
    """Write down the report of a work horse that has logged."""
    logging.getLogger().error("asked %d", os.getpid())
    Path(path).write_text(json.dumps(forklog.doctor(timeout=10).as_dict()))


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the report of this process, that of its boot, and that of a child if asked."""
    query = environ.get("QUERY_STRING", "")
    if query == "end":
        logging.getLogger().info("at the end of %d", os.getpid())
    else:
        logging.getLogger().error("asked %d", os.getpid())
    now = forklog.doctor(timeout=10) if query != "end" else None
    body = {
        "pid": os.getpid(),
        "now": now and now.as_dict(),
        "text": str(now),
        "boot": BOOT,
        "boot_threads": sorted(boot_threads),
        "child": child() if query == "child" else None,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
