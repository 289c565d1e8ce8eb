"""The encoder: one LogRecord to one LogEntry as final JSON bytes, which it returns.

Nothing of the record is kept: what the caller changes afterwards does not matter, sizes are exact,
and the flush thread only joins bytes. Three encoders make the same entry of a record. A plain
record (no ``extra=``, no exception) takes the fast path here. What depends on the call site alone
is cached, the rest is one join. `StrictEncoder` takes well-formed extras. `LenientEncoder` takes
every other record, and every one on which the faster ones raise.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from forklog.context.base import (
    CURRENT,
    NOTHING,
    Context,
    FinishedRequest,
    LogContext,
    Scope,
    is_of,
)
from forklog.encoding.call_site import CallSiteCache, NotWellFormedError, key_of
from forklog.encoding.extra import NO_ADDITIONS, Additions
from forklog.encoding.labels import names_logger
from forklog.encoding.lenient import LenientEncoder
from forklog.encoding.strict import LAST_FIELD, PLAIN_FIELDS, StrictEncoder
from forklog.encoding.timestamps import fraction_of, is_sane, second_of
from forklog.insert_id import InsertIds
from forklog.limits import SURELY_SMALL_BYTES

_UNKNOWN: Mapping[str, Any] = {}
_dumps = orjson.dumps
_modules = sys.modules
_scope_now = CURRENT.get
_MAX_TAIL_BYTES = 4096
_MAX_TAILS = 16
_Record = logging.LogRecord
_Opening = Callable[[], bytes]  # makes the beginning of an entry, with an insertId


class Encoder:
    """Turn records into entries. Safe from any thread, signal handler or finalizer.

    Args:
        format_record: the handler's ``format``, for records that need it.
        labels: the handler's labels, sent with each request; a ``python_logger`` among them
            replaces the one of the entries.
        project: returns the project id if it is known by now, to complete inferred trace ids.
        resource: the handler's monitored resource, as far as it is known.
        context: knows the work that logs.
        additions: what the handler's options add to entries.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each from another place
        self,
        format_record: Callable[[logging.LogRecord], str],
        labels: Mapping[str, str],
        project: Callable[[], str | None],
        resource: Mapping[str, Any] = _UNKNOWN,
        context: Context | None = None,
        additions: Additions = NO_ADDITIONS,
    ) -> None:
        """Start with empty caches."""
        self._context = context or Context()
        self._lenient = LenientEncoder(
            format_record, labels, project, self._context, resource, additions
        )
        self._sites = CallSiteCache(
            names_logger=names_logger(labels), own_labels=additions.own_labels
        )
        self.forget_process = self._sites.forget
        self.as_filtered = self._lenient.as_filtered
        self._plain_of = self._sites.plain_of
        self._max_bytes = min(SURELY_SMALL_BYTES, self._lenient.room)
        # On App Engine the trace becomes a label as well.
        room = self._max_bytes if self._lenient.has_plain_traces else 0
        self._strict = StrictEncoder(
            format_record, labels, self._lenient.full_trace, room, additions
        )
        self._second = (math.nan, b"")  # equal to no second
        # What tells the tails of a scope apart; where a trace is a label too, none is ever found.
        self._tail_key: Callable[[], object] = project if self._lenient.has_plain_traces else object

    def encode(self, record: logging.LogRecord, opening: _Opening) -> tuple[int, bytes] | None:
        """Return rank and entry of a well-formed record; None or an exception for any other.

        The rank is that of the severity, 0 to 8.
        """
        # All attributes before the dict: asking for it makes it, and then they are dearer.
        message, args, created = record.msg, record.args, record.created
        # A class of the application may make its message in another way.
        if type(record) is not _Record or type(message) is not str:
            return None
        key = record.pathname, record.lineno, record.funcName, record.name, record.levelno
        has_more = record.exc_info or record.exc_text or record.stack_info
        if has_more or len(given := record.__dict__) != PLAIN_FIELDS or LAST_FIELD not in given:
            return self.encode_strict(record, opening, key)
        context, scope = self._context, _scope_now()
        tail = b"}" if scope is None else self._tail_of(scope, record)
        if not tail:
            return self.encode_strict(record, opening, key)
        if scope is None and (context.has_sources or len(_modules) != context.modules_seen):
            log_context = context.current(None, record)
            if log_context is not NOTHING:
                return self.encode_strict(record, opening, key, log_context)
        message = message % args if args else message
        text = _dumps(message)
        # The texts '{...}', which may be JSON, and 'None' have payloads of their own.
        is_object = message >= "{" and message[0] == "{"
        if is_object or message == "None" or len(text) > self._max_bytes:
            return None
        rank, fragment = self._plain_of(key) or self._sites.add(record).plain
        if scope is not None and rank > scope.worst:
            scope.note(rank)
        second, stamp = self._second  # as `_time_of`, whose frames would be a twentieth of all this
        rest = created - second
        fraction = _dumps(rest)[1:11]
        if rest < 0.001 or rest >= 1.0 or len(fraction) < 10:  # noqa: PLR2004
            stamp, fraction = self._time_of(created), b""
        # {"insertId":"0006448fc1e00...|","timestamp":"2026-11-29T06:51:27|.123456789|Z","severity":
        # "INFO","labels":{...},"sourceLocation":{...},"textPayload":|"hello"|}
        return rank, b"".join((opening(), stamp, fraction, fragment, text, tail))

    def encode_strict(
        self,
        record: logging.LogRecord,
        opening: _Opening,
        key: tuple[Any, ...] | None = None,
        log_context: LogContext | None = None,
        *,
        is_formatted: bool = False,
    ) -> tuple[int, bytes] | None:
        """Encode a record with well-formed extras; else as `encode`.

        Args:
            record: any record.
            opening: that of the pipeline's `InsertIds`.
            key: what `key_of` gives for the record, if it was read already.
            log_context: what is known of the work that logs, if it was asked for already.
            is_formatted: whether the text is made by the handler's formatter.
        """
        if type(record) is not _Record:
            return None
        given = record.__dict__
        site = self._sites.get(key or key_of(given)) or self._sites.add(record)
        exc_info, scope, context = given["exc_info"], _scope_now(), self._context
        if log_context is None:
            is_known = scope is not None or exc_info or context.has_sources
            if is_known or len(_modules) != context.modules_seen:
                log_context = context.current(exc_info[1] if exc_info else None, record)
            else:
                log_context = NOTHING
        # The time first: it may raise, and nothing may after a formatter has run.
        second, stamp = self._second
        part = given["created"] - second
        fraction = _dumps(part)[1:11]
        if part < 0.001 or part >= 1.0 or len(fraction) < 10:  # noqa: PLR2004 - as in `encode`
            stamp, fraction = self._time_of(given["created"]), b""
        rest = self._strict.fields_of(record, site, log_context, is_formatted=is_formatted)
        if scope is not None:
            _note(scope, record, site.rank)
        return site.rank, b"".join((opening(), stamp, fraction, rest))

    def encode_lenient(
        self, record: logging.LogRecord, ids: InsertIds, text: str | None = None
    ) -> list[tuple[int, bytes]]:
        """Encode any record, as faithfully as the API allows; several entries if it is long.

        ``text`` is what the handler's ``format`` gave, if it was called already.
        """
        entries, scope = self._lenient.encode(record, ids, text), _scope_now()
        if scope is not None:
            _note(scope, record, entries[0][0])
        return entries

    def encode_given(
        self, record: logging.LogRecord, ids: InsertIds, payload: Any, *, is_repaired: bool = False
    ) -> list[tuple[int, bytes]]:
        """Encode a record with this payload in place of its own, marked as repaired or not."""
        return self._lenient.encode_given(record, ids, payload, is_repaired=is_repaired)

    def encode_request(
        self, done: FinishedRequest, ids: InsertIds, *, query: bool
    ) -> tuple[int, bytes]:
        """Return severity rank and entry of a request itself; see `LenientEncoder`."""
        return self._lenient.encode_request(done, ids, query=query)

    def _tail_of(self, scope: Scope, record: logging.LogRecord) -> bytes:
        """Return what ends a plain record's entry in a scope; nothing if that is not so simple.

        It is made once for a scope, or once for each span of it; few are kept at a time.
        """
        if not is_of(record, scope.begun):
            return b""
        context, key = self._context, self._tail_key()
        if context.has_spans or len(_modules) != context.modules_seen:
            span = context.span_of()
            key = key if span is None else (key, span)
        return scope.tails.get(key) or self._new_tail(scope, key)

    def _new_tail(self, scope: Scope, key: object) -> bytes:
        tails = scope.tails  # a later `bind` replaces it
        log_context = self._context.current()
        # Fields of a block may end, and what the frameworks know is not the scope's.
        is_varying = scope.parent is not None or scope.is_of_fields()
        if (
            is_varying
            or log_context.labels
            or log_context.fields
            or not self._lenient.has_plain_traces
        ):
            return b""
        fields = self._strict.about_of(_UNKNOWN, log_context)
        if len(fields) > _MAX_TAIL_BYTES:
            return b""
        if len(tails) >= _MAX_TAILS:  # such as the spans of a websocket, one for each message
            tails.clear()
        tail = tails[key] = b",%b}" % fields[:-1] if fields else b"}"
        return tail

    def _time_of(self, created: float) -> bytes:
        second, stamp = self._second
        if not 0.0 <= created - second < 1.0:
            second, stamp = self._new_second(created)
        return stamp + fraction_of(created - second)

    def _new_second(self, created: float) -> tuple[float, bytes]:
        if not is_sane(created, time.time() - 1):  # what comes later in this second is not asked
            raise NotWellFormedError
        second = float(int(created))
        stamp = b'","timestamp":"%b' % second_of(second)
        known = self._second = second, stamp  # one step: other threads see both or neither
        return known


def _note(scope: Scope, record: logging.LogRecord, rank: int) -> None:
    """Have a unit of work know the severity of a record, unless that was made elsewhere."""
    if is_of(record, scope.whole().begun):
        scope.note(rank)
