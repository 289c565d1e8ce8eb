"""Beside the handler: the same entries as lines of JSON, for an agent that collects stdout.

Cloud Run, GKE and Functions read what a container prints and know these fields:
https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from forklog.compat import refuse_unknown
from forklog.context.base import Context
from forklog.context.sources import SOURCES
from forklog.contract import HandlerLock, overrides_emit
from forklog.encoding.encoder import Encoder
from forklog.encoding.payload import WithheldError, bare, withheld
from forklog.errors import OptionError, unpicklable
from forklog.handling import known_loggers
from forklog.handling.agent_lines import line_of
from forklog.handling.request_log import additions_of
from forklog.insert_id import InsertIds
from forklog.option_checks import check_labels, check_level, check_project
from forklog.options import Options, plain
from forklog.process.base import pid
from forklog.stderr.line_stream import LinePrinter
from forklog.transports.google.access import known_project

_SHARED = frozenset(["extra_fields", "process_labels", "service"])
_OPTIONS = ("json_encoder_cls", "labels", "level", "project_id", "stream", *_SHARED)


class StructuredLogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Print each record as one line of JSON, in the form that Google's agents collect.

    For Cloud Run, GKE and Functions, in place of google.cloud.logging's handler of that name. The
    entries are those of `forklog.CloudLoggingHandler`: the same payload, repairs, trace and request
    context. Lines of any number of threads and forked processes stay whole. There is no thread, no
    queue and no network. A log call waits for the reader of a full pipe, five seconds at most; what
    does not get through then goes to ``handleError``. It takes no lock, so it is safe in signal
    handlers and after any fork.

    Args:
        labels: of every line.
        stream: any text stream; stdout's descriptor if None, whatever stands in ``sys.stdout``.
        project_id: completes the traces of requests; ``GOOGLE_CLOUD_PROJECT`` if None.
        json_encoder_cls: a `json.JSONEncoder`, for payloads that are mappings.
        level: as in `logging.Handler`; a name in any letters.
        **options: ``extra_fields``, ``process_labels``, ``service`` of `CloudLoggingHandler`.

    Raises:
        OptionError: an option is unknown or has a value that cannot work.
    """

    terminator = "\n"

    def __init__(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        stream: Any = None,
        project_id: str | None = None,
        json_encoder_cls: type[json.JSONEncoder] | None = None,
        level: int | str = logging.NOTSET,
        **options: Any,
    ) -> None:
        """Check the options; opens nothing."""
        unknown = {name: options[name] for name in options if name not in _SHARED}
        refuse_unknown(unknown, _OPTIONS)
        project_id = plain(project_id)
        check_project(project_id, "project_id")
        _check_outputs(stream, json_encoder_cls)
        super().__init__(sys.__stdout__ if stream is None else stream)
        self.setLevel(check_level("level", level))
        self.project_id = project_id or known_project(Options())
        self.labels = labels
        self._given_labels = check_labels(plain(labels))
        self._json_encoder = json_encoder_cls
        self._additions = additions_of(Options(labels=self._given_labels, **options))
        self._printer = LinePrinter(self.stream if stream is None else None)
        self._begin()

    def _begin(self) -> None:
        """Make what no two handlers share."""
        self._ids, self._pid = InsertIds(), pid()
        self._encoder = Encoder(
            self._message_of,
            self._given_labels,
            lambda: self.project_id,
            context=Context(SOURCES),
            additions=self._additions,
        )

    def __copy__(self) -> StructuredLogHandler:
        """Return a handler for the same stream that formats by itself."""
        copy = type(self).__new__(type(self))
        vars(copy).update(vars(self))
        copy.createLock()
        copy._begin()  # noqa: SLF001 - of our own class
        return copy

    def __deepcopy__(self, _memo: object) -> StructuredLogHandler:
        """Return a copy with filters of its own; it shares the stream."""
        copy = self.__copy__()
        copy.filters = [*self.filters]
        return copy

    def __reduce_ex__(self, _protocol: object) -> Any:
        """Refuse to be pickled, as each handler of logging does, and say what works.

        Raises:
            TypeError: always.
        """
        raise unpicklable(self, "its stream belongs")

    def createLock(self) -> None:  # noqa: N802 - the name logging gives it
        """Have a lock that is taken for an overridden ``emit`` alone."""
        self.lock = HandlerLock()  # type: ignore[assignment]

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter a record and print it. Raises only what ``handleError`` raises."""
        try:
            passed: Any = self.filter(record)
        except Exception as error:  # noqa: BLE001 - of the application
            self._withhold(record, bare(record), "filter", error)
            return False
        if isinstance(passed, logging.LogRecord):
            record = passed
        if passed:
            lock: object = self.lock
            if isinstance(lock, HandlerLock):  # a subclass may have made another one
                lock.is_real = overrides_emit(self, __name__)
            self.acquire()
            try:
                self.emit(record)
            finally:
                self.release()
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; what fails goes to ``handleError``."""
        failure: Exception | None = None
        try:
            text: object = self.format(record)
            if not isinstance(text, str):
                raise TypeError(f"format() returned {type(text).__name__}, not str")  # noqa: TRY301
        except WithheldError as error:
            failure = error.cause
        except Exception as error:  # noqa: BLE001 - a format of the application
            failure = error
        if failure is not None:
            self._withhold(record, record, "formatter", failure)
            failure = None  # its traceback holds this frame
            return
        try:
            self._printer.put(self.stream, str(text))
        except Exception:  # noqa: BLE001 - the rules of logging decide what is printed
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line of JSON, without the newline; several if its text is too long.

        Raises:
            WithheldError: the formatter raised; its `cause` is what.
        """
        entries = self._entries_of(self._plain(record))
        return "\n".join(line_of(entry, self._given_labels) for entry in entries)

    def flush(self) -> None:
        """Flush a stream that has no descriptor; nothing else is buffered."""
        if self._printer.descriptor_of(self.stream) is None:
            super().flush()

    def close(self) -> None:
        """Close as logging does: nothing is buffered, and a later record is printed still."""
        super().close()
        known_loggers.closed(self)

    def _message_of(self, record: logging.LogRecord) -> str:
        """Format the message alone, by the application's formatter where there is one."""
        try:
            text = logging.Handler.format(self, record)
            if isinstance(text, str):
                return text
            raise TypeError(f"format() returned {type(text).__name__}, not str")  # noqa: TRY301
        except Exception as error:
            if self.formatter is None:
                raise
            raise WithheldError(error) from error

    def _plain(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record whose mappings the application's encoder has made plain JSON."""
        encoder = self._json_encoder
        names = [n for n in ("msg", "json_fields") if isinstance(vars(record).get(n), Mapping)]
        if encoder is None or not names:
            return record
        copy = logging.makeLogRecord(vars(record))
        for name in names:
            with contextlib.suppress(Exception):  # then forklog's own rules make it plain
                vars(copy)[name] = json.loads(json.dumps(vars(record)[name], cls=encoder))
        return copy

    def _entries_of(self, record: logging.LogRecord) -> list[bytes]:
        if self._pid != pid():  # forked: ids and labels of its own
            self._ids, self._pid = InsertIds(), pid()
            self._encoder.forget_process()
        item, text = None, None
        try:
            item = self._encoder.encode_strict(record, self._opening, is_formatted=True)
        except WithheldError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the lenient encoder repairs it
            text = getattr(error, "forklog_formatted", None)
        if item is not None:
            return [item[1]]
        self._opening()
        return [entry for _, entry in self._encoder.encode_lenient(record, self._ids, text)]

    def _opening(self) -> bytes:
        """Return the start of an entry; the ids tell the pieces of a split text apart."""
        return self._ids.opening()

    def _withhold(
        self, record: logging.LogRecord, shown: logging.LogRecord, stage: str, error: Exception
    ) -> None:
        """Print what failed, in place of a text that is not to be shown; see docs/entries.md."""
        with contextlib.suppress(Exception):  # of the stream: it may be closed
            payload = withheld(shown, stage, error)
            entries = self._encoder.encode_given(shown, self._ids, payload, is_repaired=True)
            lines = "\n".join(line_of(entry, self._given_labels) for _, entry in entries)
            self._printer.put(self.stream, lines)
        try:
            raise error  # noqa: TRY301 - only to be caught
        except Exception:  # noqa: BLE001 - handleError asks for it
            self.handleError(record)


def _check_outputs(stream: object, encoder: object) -> None:
    if stream is not None and not callable(getattr(stream, "write", None)):
        raise OptionError("stream", stream, "must have write()", "leave it out for stdout")
    wanted = "encode" if isinstance(encoder, type) else "__call__"
    if encoder is not None and not hasattr(encoder, wanted):
        rule = "must be a json.JSONEncoder"
        raise OptionError("json_encoder_cls", encoder, rule, "leave it out to have plain JSON")
