"""A yardstick: about the least that a handler in Python can do and still deliver a record."""

from __future__ import annotations

import collections
import logging
import socket
import threading

import orjson

from benchmarks.subjects.subject import Subject

_SECONDS = 0.5
_MOST = 4000
_HEAD = b"POST / HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n"


class _BareHandler(logging.Handler):
    """One dict, one `orjson.dumps`, one append; a thread joins what waits and posts it.

    No lock, filters, bound, retry, repair, insertId or text of the time. A server that answers
    anything but one short packet, or a fork, would end it.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self.wakeup = threading.Event()
        self._port = port
        self._queue: collections.deque[bytes] = collections.deque()
        self._append = self._queue.append
        threading.Thread(target=self._run, daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        entry = {
            "severity": record.levelname,
            "timestamp": record.created,
            "labels": {"python_logger": record.name},
            "sourceLocation": {
                "file": record.pathname,
                "line": record.lineno,
                "function": record.funcName,
            },
            "textPayload": record.msg % record.args,  # type: ignore[operator]
        }
        self._append(orjson.dumps(entry))
        return True

    def _run(self) -> None:
        wire = socket.create_connection(("127.0.0.1", self._port))
        take = self._queue.popleft
        while True:
            self.wakeup.wait(_SECONDS)
            self.wakeup.clear()
            while self._queue:
                entries = [take() for _ in range(min(len(self._queue), _MOST))]
                body = b",".join(entries)
                wire.sendall(_HEAD % len(body) + body)
                wire.recv(4096)


class Bare(Subject):
    """That handler."""

    wire = "http"

    def build(self, port: int) -> logging.Handler:
        """Return it."""
        self._handler = _BareHandler(port)
        return self._handler

    def hurry(self) -> None:
        """Have the thread look now."""
        self._handler.wakeup.set()
