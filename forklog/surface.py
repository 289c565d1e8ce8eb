"""Beside the handler: the attributes by which an application reaches the stock handler.

Google's ``transport`` and its ``worker`` are mapped onto the pipeline. They call forklog's own
flush and close, not those of a subclass, whose methods may call them.
"""

from __future__ import annotations

import logging
import sys
import weakref
from typing import Any

from forklog.contract import OverridableHandler
from forklog.options import Options
from forklog.transports.google.access import known_project
from forklog.transports.google.metadata import NoAnswerError
from forklog.transports.google.resource import detect_resource

_FIELDS = ("resource", "labels", "trace", "span_id", "trace_sampled", "http_request",
           "source_location")  # fmt: skip


class StockSurface(OverridableHandler):
    """What the stock handler has: ``name``, ``client``, ``project_id``, ``labels`` and more."""

    project_id: str | None
    """The project, as soon as it is known."""

    def _surface(self, client: Any, options: Options, given: dict[str, Any]) -> None:
        """Set the attributes; ``given`` is what the constructor was given."""
        self.name = options.log_name
        self.client, self.labels = client, given.get("labels")
        self.project_id = known_project(options)
        self._resource = given.get("resource")
        self._transport: StockTransport | None = None

    def _learn_project(self) -> Any:
        """Return a function that sets the project, and does not keep the handler alive."""
        this = weakref.ref(self)

        def learn(project: str) -> None:
            handler = this()
            if handler is not None:
                handler.project_id = project

        return learn

    @property
    def resource(self) -> Any:
        """The monitored resource that was given, else the one found by the first look. Blocks then.

        A ``Resource`` of google's where its library is imported, else a mapping; None while the
        metadata server does not answer.
        """
        if self._resource is None:
            try:
                found = detect_resource(self.project_id or "")
            except NoAnswerError:  # the metadata server is late; the next look asks again
                return None
            module = sys.modules.get("google.cloud.logging_v2.resource")
            self._resource = module.Resource(**found) if module else found
        return self._resource

    @resource.setter
    def resource(self, value: Any) -> None:
        self._resource = value

    @property
    def transport(self) -> Any:
        """An object with the methods of google's background transport."""
        if self._transport is None or self._transport.handler is not self:  # of a copy's original
            self._transport = StockTransport(self)
        return self._transport

    @transport.setter
    def transport(self, value: Any) -> None:
        self._transport = value


class StockTransport:
    """Google's background transport as its callers know it, in front of a handler's pipeline."""

    def __init__(self, handler: Any) -> None:
        """Stand before a handler."""
        self.handler = handler
        self.worker = StockWorker(handler)

    @property
    def client(self) -> Any:
        """The handler's client, or None."""
        return self.handler.client

    def send(self, record: logging.LogRecord, message: Any, **fields: Any) -> None:
        """Queue an entry of a record with this message, a text or a mapping. Does not block."""
        self.worker.enqueue(record, message, **fields)

    def flush(self) -> None:
        """Wait until what was logged is settled, ``shutdown_timeout`` at most."""
        self.worker.flush()

    def close(self) -> None:
        """Deliver what is pending and stop. A record logged afterwards starts anew."""
        self.worker.close()


class StockWorker:
    """The worker of google's background transport: the flush thread of a handler."""

    def __init__(self, handler: Any) -> None:
        """Stand before a handler."""
        self._handler = handler

    @property
    def is_alive(self) -> bool:
        """Whether the flush thread runs in this process."""
        return bool(self._handler.stats().state == "running")

    def start(self) -> None:
        """Do nothing: the first record starts the thread."""

    def stop(self, *, grace_period: float | None = None) -> bool:
        """Deliver within ``grace_period`` seconds and stop; tell whether the thread has ended."""
        self._handler._close_pipeline(grace_period)  # noqa: SLF001 - of our own class
        return not self.is_alive

    def enqueue(self, record: logging.LogRecord, message: Any, **fields: Any) -> None:
        """Queue an entry; see `StockTransport.send`."""
        copy = logging.LogRecord("", 0, "", 0, "", None, None)
        copy.__dict__.update(vars(record))
        given = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
        copy.__dict__.update(given)
        self._handler._enqueue(copy, message)  # noqa: SLF001 - of our own class

    def flush(self) -> None:
        """Wait until what was logged is settled, ``shutdown_timeout`` at most."""
        self._handler._flush_pipeline(None)  # noqa: SLF001 - of our own class

    def close(self) -> None:
        """Deliver what is pending and stop."""
        self.stop()
