"""Beside the handler: the same entries as lines of JSON, for an agent that collects stdout.

Cloud Run, GKE and Functions read what a container prints and know these fields:
https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import orjson

from forklog.context.base import Context
from forklog.context.sources import SOURCES
from forklog.contract import HandlerLock
from forklog.encoding.builder import REPAIRED_LABEL
from forklog.encoding.encoder import Encoder
from forklog.encoding.payload import WithheldError, bare, withheld
from forklog.errors import Hidden, OptionError
from forklog.insert_id import InsertIds
from forklog.option_checks import check_labels, check_level, check_project
from forklog.options import Options
from forklog.process.base import pid
from forklog.setting_up.request_log import additions_of
from forklog.stderr.descriptor import write_lines
from forklog.transports.google.access import known_project

_STDOUT = 1
_PATIENCE_SECONDS = 5.0  # for the reader of a pipe that is full
_OF_GOOGLE = "logging.googleapis.com/"
_NAMES = {
    "severity": "severity",
    "timestamp": "time",
    "trace": f"{_OF_GOOGLE}trace",
    "spanId": f"{_OF_GOOGLE}spanId",
    "traceSampled": f"{_OF_GOOGLE}trace_sampled",
    "sourceLocation": f"{_OF_GOOGLE}sourceLocation",
    "httpRequest": "httpRequest",
}
_LABELS = f"{_OF_GOOGLE}labels"
# What an agent would take for a field of the entry. A payload's key of such a name is left out, as
# the stock handler has it, and named in the label `forklog_repaired`.
_TAKEN = frozenset([
    *_NAMES.values(), _LABELS, "timestamp", "timestampSeconds", "timestampNanos",
    f"{_OF_GOOGLE}insertId", f"{_OF_GOOGLE}operation",
])  # fmt: skip
_SHARED = frozenset(["extra_fields", "process_labels", "service"])
_REMEDY = f"known are: json_encoder_cls, labels, level, project_id, stream, {', '.join(_SHARED)}"


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
        for name in options.keys() - _SHARED:
            raise OptionError(name, Hidden(options[name]), "is not an option", _REMEDY)
        check_project(project_id)
        super().__init__(sys.__stdout__ if stream is None else stream)
        self.setLevel(check_level("level", level))
        self.project_id = project_id or known_project(Options())
        self.labels = labels
        self._given_labels = check_labels(labels)
        self._is_stdout = stream is None
        self._json_encoder = json_encoder_cls
        self._is_torn = False
        self._ids, self._pid = InsertIds(), pid()
        self._encoder = Encoder(
            self._message_of,
            self._given_labels,
            lambda: self.project_id,
            context=Context(SOURCES),
            additions=additions_of(Options(labels=self._given_labels, **options)),
        )

    def createLock(self) -> None:  # noqa: N802 - the name logging gives it
        """Have a lock that is taken for an overridden ``emit`` alone."""
        lock = HandlerLock()
        lock.is_real = type(self).emit is not StructuredLogHandler.emit
        self.lock = lock  # type: ignore[assignment]

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
            self.acquire()
            try:
                self.emit(record)
            finally:
                self.release()
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; what fails goes to ``handleError``."""
        try:
            self._put(self.format(record))
        except WithheldError as error:
            self._withhold(record, record, "formatter", error.cause)
        except Exception:  # noqa: BLE001 - the rules of logging decide what is printed
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line of JSON, without the newline; several if its text is too long.

        Raises:
            WithheldError: the formatter raised; its `cause` is what.
        """
        return "\n".join(map(self._line_of, self._entries_of(self._plain(record))))

    def flush(self) -> None:
        """Flush a stream that has no descriptor; nothing else is buffered."""
        if _descriptor_of(self.stream) is None:
            super().flush()

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
        with contextlib.suppress(Exception):
            item = self._encoder.encode_strict(record, self._opening, is_formatted=True)
            if item is not None:
                return [item[1]]
        self._opening()
        return [entry for _, entry in self._encoder.encode_lenient(record, self._ids)]

    def _opening(self) -> bytes:
        """Return the start of an entry; the ids tell the pieces of a split text apart."""
        return self._ids.opening()

    def _line_of(self, entry: bytes) -> str:
        fields = orjson.loads(entry)
        payload = fields.get("jsonPayload", {})
        if "textPayload" in fields:
            payload = {"message": fields["textPayload"]}
        line = {name: value for name, value in payload.items() if name not in _TAKEN}
        if "split" in fields:
            line["split"] = fields["split"]
        line.update((_NAMES[name], fields[name]) for name in _NAMES if name in fields)
        labels = {**self._given_labels, **fields.get("labels", {})}
        taken = [*filter(None, labels.get(REPAIRED_LABEL, "").split(","))]
        taken += [name for name in payload if name in _TAKEN]
        if taken:
            labels[REPAIRED_LABEL] = ",".join(sorted(taken))
        if labels:
            line[_LABELS] = labels
        return orjson.dumps(line).decode()

    def _put(self, text: str) -> None:
        """Write lines; OSError if the reader takes them not."""
        descriptor = _STDOUT if self._is_stdout else _descriptor_of(self.stream)
        if descriptor is None:
            self.stream.write(text + "\n")
            self.stream.flush()
            return
        # A new line first, where an earlier one could not be finished.
        data = (b"\n" if self._is_torn else b"") + text.encode() + b"\n"
        written = write_lines(descriptor, data, _PATIENCE_SECONDS)
        self._is_torn = 0 < written < len(data) or (self._is_torn and not written)
        if written < len(data):
            raise OSError(f"{written} of {len(data)} bytes of a line could be written")

    def _withhold(
        self, record: logging.LogRecord, shown: logging.LogRecord, stage: str, error: Exception
    ) -> None:
        """Print what failed, in place of a text that is not to be shown; see docs/entries.md."""
        payload = withheld(shown, stage, error)
        entries = self._encoder.encode_given(shown, self._ids, payload, is_repaired=True)
        with contextlib.suppress(OSError):
            self._put("\n".join(self._line_of(entry) for _, entry in entries))
        try:
            raise error  # noqa: TRY301 - only to be caught
        except Exception:  # noqa: BLE001 - handleError asks for it
            self.handleError(record)


def _descriptor_of(stream: Any) -> int | None:
    """Return a stream's descriptor; None if there is none, as with `io.StringIO`."""
    try:
        descriptor = int(stream.fileno())
        os.fstat(descriptor)
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return descriptor
