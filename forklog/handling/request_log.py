"""Takes finished requests from the middlewares, gives their entries to the handler's pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forklog.context.base import FinishedRequest
from forklog.context.requests import ACCESS_LOGS
from forklog.encoding.extra import Additions
from forklog.handling.identity import ProcessLabels
from forklog.handling.known_loggers import have_any
from forklog.options import Options
from forklog.transports.google.resource import resource_of_environment

if TYPE_CHECKING:
    from forklog.handling.gate import Copies

_WRITE_REQUESTS = ("cloud_run_revision", "cloud_function", "gae_app")
"""Monitored resources whose platform writes an entry for each request itself."""


class RequestLog:
    """Takes each request that is over and queues its entry, for one handler with ``access_log``.

    Levels and filters of logging do not concern it.
    """

    def __init__(self, options: Options, gate: Any, copies: Copies) -> None:
        """Take requests from now on, if the option says so and the platform does not write them.

        Args:
            options: those of the handler.
            gate: the handler's `PerProcess` of its pipelines.
            copies: the handler and its copies.
        """
        self._gate, self._copies = gate, copies
        self._unused: object = None
        self._has_query = options.access_log == "query"
        is_written = resource_of_environment().get("type") in _WRITE_REQUESTS
        if options.access_log and not is_written:
            ACCESS_LOGS.add(self)

    def write_request(self, done: FinishedRequest) -> None:
        """Queue the entry of a request. Does not block.

        ``dictConfig`` closes all handlers, those that it replaces and those that stay. A request
        starts one that stays again, as a record does. One that no logger has any more takes none,
        though it may live on: another one has taken its place.
        """
        encoder, product = self._copies.encoder(), self._gate.product
        if encoder is None or (product.is_closing and not self._is_used(product)):
            return
        pipeline = self._gate.current()
        rank, entry = encoder.encode_request(done, pipeline.insert_ids, query=self._has_query)
        pipeline.offer(rank, entry)

    def _is_used(self, closed: object) -> bool:
        """Tell whether a logger has the handler; asked once after a close."""
        if self._unused is not closed and have_any(self._copies.all()):
            return True
        self._unused = closed
        return False


def write_no_more(handler: object) -> None:
    """Have a handler take no requests from now on."""
    requests = getattr(handler, "_requests", None)
    if isinstance(requests, RequestLog):
        ACCESS_LOGS.discard(requests)


def additions_of(options: Options) -> Additions:
    """Return what the options of a handler add to its entries."""
    labels: Any = ProcessLabels(options.labels) if options.process_labels else dict
    return Additions(options.extra_fields, options.service, labels, options.log_name)
