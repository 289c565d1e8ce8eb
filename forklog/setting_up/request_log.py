"""Beside the handler: the entries of requests, and what else its options add to entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from forklog.context.base import ACCESS_LOGS, FinishedRequest
from forklog.encoding.extra import Additions
from forklog.options import Options
from forklog.setting_up.identity import ProcessLabels
from forklog.transports.google.resource import resource_of_environment

if TYPE_CHECKING:
    from forklog.encoding.encoder import Encoder

_WRITE_REQUESTS = ("cloud_run_revision", "cloud_function", "gae_app")
"""Monitored resources whose platform writes an entry for each request itself."""


class RequestLog:
    """Takes each request that is over and queues its entry, for one handler with ``access_log``.

    Levels and filters of logging do not concern it.
    """

    def __init__(self, options: Options, gate: Any, encoder: Callable[[], Encoder | None]) -> None:
        """Take requests from now on, if the option says so and the platform does not write them.

        Args:
            options: those of the handler.
            gate: the handler's `PerProcess` of its pipelines.
            encoder: returns that of the handler, or of a copy; None where none is left.
        """
        self._gate, self._encoder = gate, encoder
        self._has_query = options.access_log == "query"
        is_written = resource_of_environment().get("type") in _WRITE_REQUESTS
        if options.access_log and not is_written:
            ACCESS_LOGS.add(self)

    def write_request(self, done: FinishedRequest) -> None:
        """Queue the entry of a request. Does not block.

        A handler that was closed takes none until the next record starts it again: ``dictConfig``
        closes the handlers that it replaces, and they may live on.
        """
        encoder = self._encoder()
        if self._gate.product.is_closing or encoder is None:
            return
        pipeline = self._gate.current()
        rank, entry = encoder.encode_request(done, pipeline.insert_ids, query=self._has_query)
        pipeline.offer(rank, entry)


def additions_of(options: Options) -> Additions:
    """Return what the options of a handler add to its entries."""
    labels: Any = ProcessLabels(options.labels) if options.process_labels else dict
    return Additions(options.extra_fields, options.service, labels, options.log_name)
