"""The handler: takes records from `logging`, gives entries to this process's pipeline.

`handle` is the hot path: filters, the fork gate, the encoder, the buffer. It takes no lock, does no
I/O and imports nothing, so it may run in any thread, interrupt itself, and follow any fork.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from forklog.compat import checked_transport, enlist, known_resource, options_of
from forklog.context import connections
from forklog.context.base import Context
from forklog.context.sources import SOURCES
from forklog.contract import nothing
from forklog.delivery.pipeline import Pipeline
from forklog.encoding.call_site import is_own_record
from forklog.encoding.encoder import Encoder
from forklog.encoding.payload import WithheldError, bare, withheld
from forklog.handling.gate import Copies, gate_of
from forklog.handling.request_log import RequestLog, additions_of
from forklog.option_checks import check_level
from forklog.process.servers import uwsgi
from forklog.surface import StockSurface
from forklog.transports.base import OptionsTransport, Transport
from forklog.transports.http import HttpTransport


class CloudLoggingHandler(StockSurface):
    """Send log records to Google Cloud Logging from a background thread, in every process.

    Works in `logging.config.dictConfig` and `fileConfig` with plain strings, numbers and dicts, and
    without any argument. Construction does no network: credentials, project and monitored resource
    are found by the flush thread, which starts with the first record. Logging never raises. It
    blocks only by ``block_timeout``, if that is set, to make files of a spool, or where no thread
    can run, see docs/process-models.md. It is safe in threads, signal handlers, finalizers and
    after any fork; every process that logs delivers its own records.

    Records arrive within ``max_latency``. While a quota of the project refuses requests they may
    take a minute and more, errors too; ``stats().request_gap`` shows it, see docs/quotas.md.

    Args:
        client: an existing ``google.cloud.logging.Client``; its project, credentials and endpoint
            are used, its connections are not.
        name: the stock handler's name for ``log_name``.
        transport: an object with ``open()`` in place of the HTTP wire, such as
            `forklog.testing.FakeTransport`. Google's ``BackgroundThreadTransport`` means the wire.
        level: as in `logging.Handler`; a name in any letters.
        stream: taken and ignored, as the stock handler never writes to it.
        **unknown: there is no other option; each one that is given is refused by its name.

    The others are those of docs/options.md; durations are seconds, sizes bytes.

    Raises:
        OptionError: an option is unknown or has a value that cannot work.
    """

    def __init__(  # noqa: PLR0913 - each option by its name
        self,
        client: Any = None,
        *,
        name: str | None = None,
        transport: Transport | type | None = None,
        level: int | str = logging.NOTSET,
        stream: object = None,
        project: str | None = None,
        log_name: str = "python",
        labels: Mapping[str, str] | None = None,
        resource: Any = None,
        endpoint: str | None = None,
        credentials: Any = None,
        max_latency: float = 0.2,
        flush_level: int | str = "ERROR",
        max_batch_entries: int = 10_000,
        max_batch_bytes: int = 4 * 1024 * 1024,
        max_buffer_bytes: int = 32 * 1024 * 1024,
        block_timeout: float = 0.0,
        connect_timeout: float = 5.0,
        answer_timeout: float = 30.0,
        max_retry_delay: float = 30.0,
        shutdown_timeout: float = 5.0,
        last_resort: str = "stderr",
        compression: str | None = None,
        spool: str | None = None,
        spool_max_bytes: int = 64 * 1024 * 1024,
        spool_max_folder_bytes: int = 1024 * 1024 * 1024,
        on_drop: Callable[[Sequence[bytes], str], object] | None = None,
        access_log: bool | str = False,
        process_labels: bool = False,
        extra_fields: bool = False,
        service: Mapping[str, str] | str | None = None,
        **unknown: NoReturn,
    ) -> None:
        """Check the options and build; starts no thread and opens no connection."""
        self._options = options_of(client, name, locals(), unknown)
        self._build(client, checked_transport(transport), level, labels, resource)

    def _build(
        self, client: Any, given_wire: Transport | None, level: object, labels: Any, resource: Any
    ) -> None:
        """Put the parts together, and connect to what else there is in this process."""
        super().__init__(check_level("level", level))
        self._surface(client, self._options, labels, resource)
        # The pipeline must not keep the handler alive, or a dropped handler would never end.
        self._copies = Copies(self)
        wire: Transport = given_wire or HttpTransport(self._options, self._copies.learn)
        if isinstance(wire, OptionsTransport):
            wire = wire.with_options(self._options, self._copies.learn)
        self._encoder = self._new_encoder(lambda: self.project_id)
        self._gate = gate_of(self._options, wire, self._copies)
        self._requests = RequestLog(self._options, self._gate, self._copies)
        connections.connect()
        uwsgi.prepare_requests()
        enlist(client, self)

    def _new_encoder(self, project: Callable[[], str | None]) -> Encoder:
        options = self._options
        resource, context = known_resource(options), Context(SOURCES)
        return Encoder(
            self._format_now, options.labels, project, resource, context, additions_of(options)
        )

    def __copy__(self) -> CloudLoggingHandler:
        """Return a handler with the same pipeline that formats by itself."""
        copy: CloudLoggingHandler = self._copied()
        copy._encoder = copy._new_encoder(lambda: copy.project_id)
        self._copies.add(copy)
        return copy

    def __deepcopy__(self, _memo: object) -> CloudLoggingHandler:
        """Return a copy with filters of its own; it shares the pipeline, as a process has one."""
        copy = self.__copy__()
        copy.filters = [*self.filters]
        return copy

    flushOnClose = False  # noqa: N815 - logging's name: close delivers, so it need not flush before

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter, encode and queue one record; raises what the application's may.

        Blocks only by ``block_timeout``, to make files of a spool, or where no thread can run.
        """
        passed: Any = True
        if self.filters or self._is_filtering:
            try:
                passed = self.filter(record)
            except Exception as error:  # noqa: BLE001 - of the application
                self._withhold(record, bare(record), "filter", error)
                return False
            if not passed:
                return passed
            if passed is not True and isinstance(passed, logging.LogRecord):
                record = passed
        pipeline = self._gate.product
        # `_encode` is `Encoder.encode`, as a rule; `pipeline.offer` below is `Buffer.offer`.
        # Read and then called: to call an attribute of an instance in one step is slower.
        encode = self._encode
        made: str | Exception | None = None
        try:
            if not pipeline.mark[0]:
                pipeline = self._gate.current()
            item = encode(record, pipeline.opening)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lenient encoder repairs it
            item, made = None, getattr(error, "forklog_formatted", None)
        try:
            if item is not None:
                rank, entry = item
                offer = pipeline.offer
                offer(rank, entry)
                return passed
            if self._encode is nothing:  # an emit of the application's
                self._emit_locked(record)
            else:
                self._emit_leniently(record, made)
        except (RecursionError, MemoryError):
            pipeline.buffer.unencoded += 1  # no call here: even one more frame may be too many
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Encode and queue one record by the lenient encoder, in this process's pipeline."""
        self._emit_leniently(record, None)

    def _emit_leniently(self, record: logging.LogRecord, made: str | Exception | None) -> None:
        """Encode leniently; `made` is the result or error of `format`, None if not called."""
        pipeline = self._gate.current()
        if is_own_record(record, pipeline.worker.thread_ident):
            pipeline.count_swallowed()
            return
        failure = made if isinstance(made, Exception) else None
        entries: list[tuple[int, bytes]] = []
        try:
            if not isinstance(made, Exception):
                entries = self._encoder.encode_lenient(record, pipeline.insert_ids, made)
        except WithheldError as error:
            failure = error.cause
        except Exception as error:  # noqa: BLE001 - the rules of logging decide what is printed
            self._drop(record, pipeline, error)
            return
        if failure is not None:
            self._withhold(record, record, "formatter", failure)
            return
        for rank, entry in entries:
            pipeline.offer(rank, entry)

    def _withhold(
        self, record: logging.LogRecord, shown: logging.LogRecord, stage: str, error: Exception
    ) -> None:
        """Queue an entry that says what failed, in place of a text that is not to be sent."""
        pipeline = self._gate.current()
        if is_own_record(record, pipeline.worker.thread_ident):
            pipeline.count_swallowed()
            return
        try:
            payload = withheld(shown, stage, error)
            for rank, entry in self._encoder.encode_given(
                shown, pipeline.insert_ids, payload, is_repaired=True
            ):
                pipeline.offer(rank, entry)
        except Exception as broken:  # noqa: BLE001 - as in emit
            self._drop(record, pipeline, broken)
            return
        self._call_handle_error(record, error, is_flush_thread=pipeline.worker.is_own_thread())

    def _enqueue(self, record: logging.LogRecord, payload: Any) -> None:
        """Queue what google's transport is given; for a subclass whose ``emit`` calls that."""
        pipeline = self._gate.current()
        entries = self._encoder.encode_given(record, pipeline.insert_ids, payload)
        for rank, entry in entries:
            pipeline.offer(rank, entry)

    def _drop(self, record: logging.LogRecord, pipeline: Pipeline, error: Exception) -> None:
        pipeline.buffer.unencoded += 1  # as in `handle`; the flush thread books and reports it
        try:  # no call before: what it raised would have `handle` count the record again
            is_flush_thread = pipeline.worker.is_own_thread()
            self._call_handle_error(record, error, is_flush_thread=is_flush_thread)
        except (RecursionError, MemoryError):
            return
