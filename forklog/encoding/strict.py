"""Encodes records with well-formed extras, an exception or a context, for `Encoder`.

Most records that are not plain are well-formed. They have labels that are text, an ordinary dict as
JSON fields, a trace, or a framework's request. They need no repair, so they get none. Whatever is
not well-formed goes to the lenient encoder, which makes the same entry of the same record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import orjson

from forklog.context.base import NOTHING, LogContext, RequestFields
from forklog.encoding.call_site import CallSite, FormattedError, NotWellFormedError
from forklog.encoding.extra import NO_ADDITIONS, Additions
from forklog.encoding.jsonable import encoded_if_plain
from forklog.encoding.repair import http_request_of
from forklog.encoding.tracebacks import exception_text
from forklog.limits import MAX_LABELS

# Fields that are rarely given, or set by google's filter: the lenient encoder knows them.
_RARE = frozenset(
    {
        "getMessage",
        "http_request",
        "source_location",
        "resource",
        "_labels",
        "_trace",
        "_span_id",
        "_trace_sampled",
        "_http_request",
        "_source_location",
        "_resource",
    }
)
# A record with more fields than this has an extra, or was formatted by another handler before.
PLAIN_FIELDS = len(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)
LAST_FIELD = next(reversed(logging.LogRecord("", 0, "", 0, "", None, None).__dict__))
"""The last of them: what ``extra=`` gives follows it, or stands in its place if one is missing."""
_MAX_LABELS = 16
_MAX_KEY, _MAX_VALUE = 100, 1000  # characters of a label: surely within the limits of the API
_MAX_TRACE = 250  # characters, of a span id as well
_NEWLINE = "\n"
# Not by attributes, which are three times dearer where there is a dict.
_content_of = itemgetter("msg", "args", "exc_info", "exc_text", "stack_info")
_dumps = orjson.dumps


class StrictEncoder:
    """Encode records whose extras are well-formed; for the arguments see `Encoder`.

    Every method raises, `NotWellFormedError` or anything else, where a record is not as usual. What
    is raised after the text was made has the text.
    """

    def __init__(
        self,
        format_record: Callable[[logging.LogRecord], str],
        shared: Mapping[str, str],
        full_trace: Callable[[str | None], str | None],
        max_bytes: int,
        additions: Additions = NO_ADDITIONS,
    ) -> None:
        """Keep what encoding needs; ``max_bytes`` is the size of an entry that is surely small."""
        self._fields_of = additions.fields_of if additions.adds_fields() else None
        self._format = format_record
        self._full_trace = full_trace
        self._max_bytes = max_bytes if len(shared) + _MAX_LABELS < MAX_LABELS else 0

    def fields_of(
        self, record: logging.LogRecord, site: CallSite, context: LogContext, *, is_formatted: bool
    ) -> bytes:
        """Return all fields of a record's entry that come after its timestamp.

        Args:
            record: of the class `logging.LogRecord` itself.
            site: that of the record.
            context: what is known of the work that logs.
            is_formatted: whether the handler has a formatter.
        """
        given = record.__dict__
        text, args, exc_info, exc_text, stack_info = _content_of(given)
        labels, json_fields = given.get("labels"), given.get("json_fields")
        # Where a plain record has all but these, there is no trace, nor anything rare.
        extras = (labels is not None) + (json_fields is not None)
        is_usual = len(given) == PLAIN_FIELDS + extras and [*given][~extras] == LAST_FIELD
        if (not is_usual and not given.keys().isdisjoint(_RARE)) or type(text) is not str:
            raise NotWellFormedError
        if is_formatted or stack_info or exc_info or exc_text:
            text = self._formatted(record, text, args, is_whole=is_formatted or bool(stack_info))
        elif args:
            text = text % args
        try:
            if self._fields_of:
                json_fields = _merged(self._fields_of(given), json_fields)
            if context is not NOTHING:
                labels = _merged(context.labels, labels)
                json_fields = _merged(context.fields, json_fields)
            about = self.about_of(given, context) if context is not NOTHING or not is_usual else b""
            payload = _payload(text, json_fields)
            fields = b"".join((site.severity, _labels(labels, site), site.location, about, payload))
        except Exception as error:  # whatever it is, the lenient encoder repairs it
            raise FormattedError(text) from error
        if len(fields) > self._max_bytes:
            raise FormattedError(text)
        return fields

    def _formatted(self, record: logging.LogRecord, text: str, args: Any, *, is_whole: bool) -> str:
        """Return the text as the handler's formatter makes it, or as logging's default would."""
        if is_whole:
            return self._format(record)
        text = text % args if args else text
        if not record.exc_text:
            record.exc_text = exception_text(record.exc_info)  # where the formatter keeps it
            if not record.exc_text:
                return self._format(record)
        return f"{text}{'' if text[-1:] == _NEWLINE else _NEWLINE}{record.exc_text}"

    def about_of(self, given: Mapping[str, Any], context: LogContext) -> bytes:
        """Encode trace, span and request: what ``extra=`` says, else what the context has."""
        trace = given["trace"] if "trace" in given else self._full_trace(context.trace)
        span_id = given.get("span_id", context.span_id)
        sampled = given.get("trace_sampled", context.sampled)
        fields = b"" if context.http_request is None else _request(context.http_request)
        if trace:
            if trace.__class__ is not str or len(trace) > _MAX_TRACE:
                raise NotWellFormedError
            fields += b'"trace":%b,' % _dumps(trace)
        if span_id:
            if span_id.__class__ is not str or len(span_id) > _MAX_TRACE:
                raise NotWellFormedError
            fields += b'"spanId":%b,' % _dumps(span_id)
        if sampled is True:
            fields += b'"traceSampled":true,'
        elif sampled:
            raise NotWellFormedError
        return fields


def _merged(below: Mapping[str, Any] | None, above: Any) -> Any:
    """Return what is given, with what it lacks from below."""
    if not below:
        return above
    if above is None or above == {}:
        return dict(below)
    if above.__class__ is not dict:
        raise NotWellFormedError
    return {**below, **above}


def _labels(given: Any, site: CallSite) -> bytes:
    """Encode the logger's name and the labels of ``extra=``."""
    if not given and (given is None or given == {}):
        return b'"labels":{%b},' % site.own if site.own else b""
    if type(given) is not dict or len(given) > _MAX_LABELS:
        raise NotWellFormedError
    for key, value in given.items():
        if type(key) is not str or type(value) is not str:
            raise NotWellFormedError
        if len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
            raise NotWellFormedError
    if site.own and site.labels.keys().isdisjoint(given):
        return b'"labels":{%b,%b,' % (site.own, _dumps(given)[1:])
    return b'"labels":%b,' % _dumps({**site.labels, **given})


def _request(request: Mapping[str, Any]) -> bytes:
    """Encode the request of a context, once for all its records."""
    if isinstance(request, RequestFields) and request.encoded:
        return request.encoded
    fields, is_changed = http_request_of(request)
    if is_changed or not fields:
        raise NotWellFormedError
    encoded = b'"httpRequest":%b,' % _dumps(fields)
    if isinstance(request, RequestFields):
        request.encoded = encoded
    return encoded


def _payload(text: str, json_fields: Any) -> bytes:
    if (text >= "{" and text[0] == "{") or text == "None":
        raise NotWellFormedError
    if not json_fields:
        return b'"textPayload":%b}' % _dumps(text)
    if type(json_fields) is not dict:
        raise NotWellFormedError
    whole = encoded_if_plain({**json_fields, "message": text})
    if not whole:
        raise NotWellFormedError
    return b'"jsonPayload":%b}' % whole
