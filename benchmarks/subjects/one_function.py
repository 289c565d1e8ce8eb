"""A yardstick: what a log call does in forklog, in one function; the floor of its design.

One function for plain records, and one for those with labels and fields.

The same entry, bounds and fork safety as `forklog.handler`, `forklog.encoding.encoder` and
`forklog.delivery.buffer` give, by their own objects. But no function of Python calls another, and
every name is in a cell of the closure. The site is looked up by its parts in place of a tuple of
them. No code that has to be read and tested piece by piece can cost less, short of another
language.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from itertools import chain, product, repeat
from operator import add
from typing import Any

import orjson

import forklog
from benchmarks.subjects.forklog_handler import Forklog
from forklog.context.base import NOTHING
from forklog.encoding.call_site import CallSiteCache, key_of
from forklog.encoding.jsonable import _LEAVES, _OPTIONS
from forklog.encoding.strict import PLAIN_FIELDS
from forklog.insert_id import _DIGITS, _TRIPLES, InsertIds

_MAY_BE_ODD = tuple(byte in b"{N" for byte in range(256))  # '{...}' and 'None', by their JSON


class OneFunction(Forklog):
    """A handler with its ``handle`` replaced; records of any other kind go to the original."""

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        handler = super().build(port)
        assert isinstance(handler, forklog.CloudLoggingHandler)
        opening = _openings(handler._gate.product.insert_ids)  # noqa: SLF001
        self._plain, self._fields = _handle_of(handler, opening), _fields_of(handler, opening)
        return handler

    def plain(self, number: int) -> None:
        """Log sentences, by the function for plain records."""
        self.handler.handle = self._plain  # type: ignore[method-assign]
        super().plain(number)

    def fields(self, number: int) -> None:
        """Log sentences with fields and labels, by the function for these."""
        self.handler.handle = self._fields  # type: ignore[method-assign]
        super().fields(number)


def _parts_of(handler: forklog.CloudLoggingHandler) -> tuple[Any, ...]:
    """Return what both functions have in their closures, of the one pipeline that they are for."""
    encoder, pipeline = handler._encoder, handler._gate.product  # noqa: SLF001
    buffer = pipeline.buffer
    of_encoder = encoder._sites, encoder._context, encoder._max_bytes  # noqa: SLF001
    return encoder, *of_encoder, buffer, buffer._append, pipeline.mark  # noqa: SLF001


def _handle_of(  # noqa: C901 - one function is the point
    handler: forklog.CloudLoggingHandler, opening: Callable[[], bytes]
) -> Callable[[logging.LogRecord], Any]:
    """Return the function for plain records; it works in one process."""
    encoder, sites, context, room, buffer, lanes, mark = _parts_of(handler)
    whole_path, known = handler.handle, dict[str, dict[int, Any]]()
    dumps, modules, plain_record = orjson.dumps, sys.modules, logging.LogRecord
    fields, joined, odd = PLAIN_FIELDS, b"".join, _MAY_BE_ODD

    def handle(record: logging.LogRecord) -> Any:  # noqa: C901, PLR0911
        if handler.filters or handler.formatter is not None or not mark[0]:
            return whole_path(record)
        message, args, created = record.msg, record.args, record.created
        if type(record) is not plain_record or type(message) is not str:
            return whole_path(record)
        try:
            rank, fragment, name, function, level = known[record.pathname][record.lineno]
        except KeyError:
            rank, fragment = sites.add(record).plain
            site = rank, fragment, record.name, record.funcName, record.levelno
            known.setdefault(record.pathname, {})[record.lineno] = site
        else:
            is_other = function is not record.funcName or name is not record.name
            if is_other or level != record.levelno:
                return whole_path(record)
        if record.exc_info or record.exc_text or record.stack_info:
            return whole_path(record)
        if len(record.__dict__) != fields:
            return whole_path(record)
        if (context.has_sources or len(modules) != context.modules_seen) and (
            context.current() is not NOTHING
        ):
            return whole_path(record)
        message = message % args if args else message
        text = dumps(message)
        if odd[text[1]] or len(text) > room:
            return whole_path(record)
        second, stamp = encoder._second  # noqa: SLF001
        rest = created - second
        fraction = dumps(rest)[1:11]
        if rest < 0.001 or rest >= 1.0 or len(fraction) < 10:
            stamp, fraction = encoder._time_of(created), b""  # noqa: SLF001
        entry = joined((opening(), stamp, fraction, fragment, text, b"}"))
        size = len(entry)
        lanes[rank](entry)
        buffer.bytes += size
        if buffer.bytes > buffer.alarm_bytes:
            buffer._alarm()  # noqa: SLF001
        if rank >= buffer.wake_rank:
            buffer.on_wake()
        return True

    return handle


def _fields_of(  # noqa: C901 - one function is the point
    handler: forklog.CloudLoggingHandler, opening: Callable[[], bytes]
) -> Callable[[logging.LogRecord], Any]:
    """Return the same for records with labels and flat JSON fields, and nothing else."""
    encoder, sites, context, room, buffer, lanes, mark = _parts_of(handler)
    whole_path, known = handler.handle, dict[str, dict[int, Any]]()
    dumps, modules, plain_record = orjson.dumps, sys.modules, logging.LogRecord
    number, joined, leaves = PLAIN_FIELDS + 2, b"".join, _LEAVES

    def handle(record: logging.LogRecord) -> Any:  # noqa: C901, PLR0911, PLR0912
        if handler.filters or handler.formatter is not None or not mark[0]:
            return whole_path(record)
        message, args, created = record.msg, record.args, record.created
        if type(record) is not plain_record or type(message) is not str:
            return whole_path(record)
        try:
            rank, head, own, middle, name, function, level = known[record.pathname][record.lineno]
        except KeyError:
            known.setdefault(record.pathname, {})[record.lineno] = _site_of(sites, record)
            return whole_path(record)
        is_other = function is not record.funcName or name is not record.name
        if is_other or level != record.levelno or record.exc_info or record.exc_text:
            return whole_path(record)
        given = record.__dict__
        try:
            labels, json_fields = given["labels"], given["json_fields"]
        except KeyError:
            return whole_path(record)
        if len(given) != number or type(labels) is not dict or type(json_fields) is not dict:
            return whole_path(record)
        if (context.has_sources or len(modules) != context.modules_seen) and (
            context.current() is not NOTHING
        ):
            return whole_path(record)
        for key, value in labels.items():
            if type(key) is not str or type(value) is not str or len(key) + len(value) > 100:
                return whole_path(record)
        for value in json_fields.values():
            kind = type(value)
            if kind is str or kind is int:
                continue
            if (kind is float and value - value != 0.0) or kind not in leaves:
                return whole_path(record)
        message = message % args if args else message
        if (message >= "{" and message[0] == "{") or not own.isdisjoint(labels):
            return whole_path(record)
        payload = dumps({**json_fields, "message": message}, option=_OPTIONS)
        second, stamp = encoder._second  # noqa: SLF001
        rest = created - second
        fraction = dumps(rest)[1:11]
        if rest < 0.001 or rest >= 1.0 or len(fraction) < 10:
            stamp, fraction = encoder._time_of(created), b""  # noqa: SLF001
        text = dumps(labels)[1:]
        entry = joined((opening(), stamp, fraction, head, text, middle, payload, b"}"))
        size = len(entry)
        if size > room:
            return whole_path(record)
        lanes[rank](entry)
        buffer.bytes += size
        if buffer.bytes > buffer.alarm_bytes:
            buffer._alarm()  # noqa: SLF001
        if rank >= buffer.wake_rank:
            buffer.on_wake()
        return True

    return handle


def _site_of(sites: CallSiteCache, record: logging.LogRecord) -> tuple[Any, ...]:
    """Return rank, all before and after the labels of ``extra=``, and what tells a site apart."""
    site = sites.get(key_of(record.__dict__)) or sites.add(record)
    head = b'%b"labels":{%b,' % (site.severity, site.own)
    middle = b',%b"jsonPayload":' % site.location
    names = record.name, record.funcName, record.levelno
    return (site.rank, head, site.labels.keys(), middle, *names)


def _openings(ids: InsertIds) -> Callable[[], bytes]:
    """Count as `InsertIds` does, three digits at a time added to a head of the others."""
    heads = [b"%b%c" % (ids.head, digit) for digit in _DIGITS]
    sevens = map(b"".join, product(heads, _TRIPLES, _TRIPLES))
    blocks = map(map, repeat(add), map(repeat, sevens), repeat(_TRIPLES))
    # Their keys are the pipeline's too: what flushes and orders entries asks it for the next.
    ids.opening = chain.from_iterable(blocks).__next__
    return ids.opening
