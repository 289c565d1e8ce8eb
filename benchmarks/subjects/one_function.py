"""A yardstick: what a plain log call does in forklog, in one function; the floor of its design.

The same entry, bounds and fork safety as `forklog.handler`, `forklog.encoding.encoder` and
`forklog.delivery.buffer` give, by their own objects, but without a call of one function of Python
by another, every name in
a cell of the closure, and the site looked up by its parts in place of a tuple of them. No code
that has to be read and tested piece by piece can cost less, short of another language.
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
from forklog.encoding.encoder import _PLAIN_FIELDS
from forklog.insert_id import _DIGITS, _TRIPLES, InsertIds

_MAY_BE_ODD = tuple(byte in b"{N" for byte in range(256))  # '{...}' and 'None', by their JSON


class OneFunction(Forklog):
    """A handler with its ``handle`` replaced; all but plain records go to the original."""

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        handler = super().build(port)
        assert isinstance(handler, forklog.CloudLoggingHandler)
        handler.handle = _handle_of(handler)  # type: ignore[method-assign]
        return handler


def _handle_of(  # noqa: C901 - one function is the point
    handler: forklog.CloudLoggingHandler,
) -> Callable[[logging.LogRecord], Any]:
    """Return the function; one process and one pipeline are all it is for."""
    gate, encoder, whole_path = handler._gate, handler._encoder, handler.handle  # noqa: SLF001
    sites, context, room = encoder._sites, encoder._context, encoder._max_bytes  # noqa: SLF001
    pipeline = gate.product
    opening, buffer, mark = _openings(pipeline.insert_ids), pipeline.buffer, pipeline.mark
    lanes, known = buffer._append, dict[str, dict[int, Any]]()  # noqa: SLF001
    dumps, modules, plain_record = orjson.dumps, sys.modules, logging.LogRecord
    fields, joined, odd = _PLAIN_FIELDS, b"".join, _MAY_BE_ODD

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


def _openings(ids: InsertIds) -> Callable[[], bytes]:
    """Count as `InsertIds` does, three digits at a time added to a head of the others."""
    heads = [b"%b%c" % (ids.head, digit) for digit in _DIGITS]
    sevens = map(b"".join, product(heads, _TRIPLES, _TRIPLES))
    blocks = map(map, repeat(add), map(repeat, sevens), repeat(_TRIPLES))
    # Their keys are the pipeline's too: what flushes and orders entries asks it for the next.
    ids.opening = chain.from_iterable(blocks).__next__
    return ids.opening
