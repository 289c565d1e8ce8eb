"""Beside the handler: flush, close and stats, and the attributes that the stock handler has.

Google's ``transport`` and its ``worker`` are mapped onto the pipeline. They call forklog's own
flush and close, not those of a subclass, whose methods may call them.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Any

from forklog.contract import OverridableHandler
from forklog.delivery.lifecycle import State
from forklog.encoding.payload import bare
from forklog.errors import OptionError
from forklog.handling import known_loggers
from forklog.options import Options
from forklog.process.base import PidMark, pid
from forklog.snapshot import Stats
from forklog.transports.google.access import is_anonymous, known_project
from forklog.transports.google.metadata import NoAnswerError, read_metadata
from forklog.transports.google.resource import detect_resource, no_key

_FIELDS = ("resource", "labels", "trace", "span_id", "trace_sampled", "http_request",
           "source_location")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the tools show of a handler in one process; see `StockSurface.describe`."""

    options: Options
    """Those that the handler was made with, the client's included."""
    transport: object
    """The wire: forklog's own, or the one that the handler was given."""
    stats: Stats
    has_lost_thread: bool
    """The state is ``running`` and the flush thread has ended, so entries may wait for ever."""
    has_page: bool
    """A fork is seen by a page that the kernel wipes; where False, by a changed PID."""


class StockSurface(OverridableHandler):
    """What an application asks a handler for: to deliver, its numbers, the stock's attributes."""

    project_id: str | None
    """The project, as soon as it is known."""
    _options: Options
    _gate: Any

    def _surface(self, client: Any, options: Options, labels: Any, resource: Any) -> None:
        """Set the attributes; labels and resource as the constructor was given them."""
        self.name = options.log_name
        self.client, self.labels = client, labels
        self.project_id = known_project(options)
        self._resource = resource
        self._transport: Any = None

    def _learn(self, project: str) -> None:
        """Know the project, which a connection has found out."""
        self.project_id = project

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Wait until every record logged before this call is delivered, diverted or dropped.

        Blocks; not for signal handlers. `logging.shutdown` calls it.

        Args:
            timeout: seconds to wait at most; the option ``shutdown_timeout`` if None.

        Returns:
            Whether the server has confirmed all of them. False if not all are settled, or if any
            was dropped or diverted since the last flush of this process that returned. False at
            once in a uWSGI process that only holds its records for the workers to come.
        """
        return self._flush_pipeline(timeout)

    def _flush_pipeline(self, timeout: float | None) -> bool:
        if getattr(self, "_gate", None) is None:  # construction failed; logging may know it still
            return True
        return bool(self._known().flush(timeout))

    def close(self) -> None:
        """Deliver what is pending within ``shutdown_timeout``, stop the thread. Idempotent.

        What cannot be delivered goes to the ``last_resort``. A record logged afterwards starts the
        handler again, as with the stock handler.
        """
        try:
            self._close_pipeline(None)
        finally:
            super().close()
            known_loggers.closed(self)

    def _close_pipeline(self, timeout: float | None) -> None:
        gate = getattr(self, "_gate", None)  # absent if construction failed
        if gate is not None and gate.product.mark[0]:
            gate.product.close(timeout)

    def stats(self) -> Stats:
        """Return a snapshot of this process's counters and gauges. Not for signal handlers."""
        numbers: Stats = self._known().stats()
        return numbers

    def describe(self) -> Description:
        """Return options, wire and numbers, for tools. Starts nothing; not for signal handlers."""
        pipeline = self._known()
        stats: Stats = pipeline.stats()
        is_running = stats.state == State.RUNNING.value
        return Description(
            options=self._options,
            transport=pipeline.sender.transport,
            stats=stats,
            has_lost_thread=is_running and pipeline.worker.thread.ended.is_set(),
            has_page=not isinstance(pipeline.mark, PidMark),
        )

    def _known(self) -> Any:
        """Return this process's pipeline, the closed one too as long as it has no successor."""
        pipeline = self._gate.product
        if pipeline.is_closing and pipeline.pid == pid():
            return pipeline
        return self._gate.current()

    def __repr__(self) -> str:
        """Name log, project, level and state; builds nothing and blocks for nothing."""
        kind, gate = type(self).__name__, getattr(self, "_gate", None)
        if gate is None:  # construction failed, or a subclass has not called it yet
            return f"<{kind}, not built>"
        pipeline = gate.product
        state = pipeline.state.value if pipeline.pid == pid() else "inert"
        project = f"project {self.project_id}" if self.project_id else "no project so far"
        level = logging.getLevelName(self.level)
        return f"<{kind} {self._options.log_name} of {project} ({level}), {state}>"

    @property
    def resource(self) -> Any:
        """The monitored resource that was given, else the one found by the first look. Blocks then.

        A ``Resource`` of google's where its library is imported, else a mapping; None while the
        metadata server does not answer.
        """
        if self._resource is None:
            try:
                # As the wire has it, which asks no metadata server for an emulator.
                read = no_key if is_anonymous(self._options) else read_metadata
                found = detect_resource(self.project_id or "", read=read)
            except (NoAnswerError, OptionError):
                # The metadata server is late, or the variable of the emulator is wrong by now; the
                # next look asks again.
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
        known = self._transport
        is_of_other = isinstance(known, StockTransport) and known.handler is not self  # of a copy
        if known is None or is_of_other:
            known = self._transport = StockTransport(self)
        return known

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
        """Queue an entry of this message, a text or a mapping. Does not block.

        It has the record's severity, time and logger, and of the fields those that are given.
        """
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
        copy = bare(record)
        copy.__dict__.update({name: fields.get(name) for name in _FIELDS})
        self._handler._enqueue(copy, message)  # noqa: SLF001 - of our own class

    def flush(self) -> None:
        """Wait until what was logged is settled, ``shutdown_timeout`` at most."""
        self._handler._flush_pipeline(None)  # noqa: SLF001 - of our own class

    def close(self) -> None:
        """Deliver what is pending and stop."""
        self.stop()
