"""Step 3, the encoder: one LogRecord to one LogEntry as final JSON bytes; gives them to the buffer.

Nothing of the record is kept: what the caller changes afterwards does not matter, sizes are exact,
and the flush thread only joins bytes. A plain record (no ``extra=``, no exception) takes the short
road: the fragments that depend on the call site alone are cached, the rest is one format operation.
Every other record, and every record on which the short road stumbles, takes the full one, in
`forklog.full`; both make the same entry of the same record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from forklog.context import NOTHING, Context
from forklog.draft import SEVERITIES
from forklog.full import FullRoad, drop_notice, rank_of_level
from forklog.insert_id import InsertIds
from forklog.labels import names_logger
from forklog.limits import SURELY_SMALL_BYTES
from forklog.repair import DAY_SECONDS, location_of

__all__ = ["SEVERITIES", "Encoder", "drop_notice", "rank_of_level"]

# A record with more fields than this has an extra, or was formatted by another handler before.
_PLAIN_FIELDS = len(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)
_MAX_SITES = 4096
_MAX_SITE_CHARACTERS = 500  # sites are cached; what is longer is cut, on the full road
_BRACE = ord("{")
_NONE = b'"None"'
_UNKNOWN: Mapping[str, Any] = {}
_dumps = orjson.dumps
_Record = logging.LogRecord


class Site(NamedTuple):
    """What every record of one call site has in common."""

    rank: int
    fragment: bytes


class Encoder:
    """Turn records into entries. Safe from any thread, signal handler or finalizer.

    Args:
        format_record: the handler's ``format``, for records that need it.
        labels: the handler's labels, sent with each request; a ``python_logger`` among them
            replaces the one of the entries.
        project: returns the project id if it is known by now, to complete inferred trace ids.
        resource: the handler's monitored resource, as far as it is known.
    """

    def __init__(
        self,
        format_record: Callable[[logging.LogRecord], str],
        labels: Mapping[str, str],
        project: Callable[[], str | None],
        resource: Mapping[str, Any] = _UNKNOWN,
    ) -> None:
        """Start with empty caches."""
        self._context = Context()
        self._sources = self._context.sources
        self._full = FullRoad(format_record, labels, project, self._context, resource)
        self._names_logger = names_logger(labels)
        self._max_bytes = min(SURELY_SMALL_BYTES, self._full.room)
        self._sites: dict[tuple[Any, ...], Site] = {}
        self._second = (-1, b"")

    def encode(self, record: logging.LogRecord, ids: InsertIds) -> tuple[int, bytes] | None:
        """Encode a plain record by the short road; None, or any exception, if it is not plain."""
        if len(record.__dict__) != _PLAIN_FIELDS or record.exc_info or record.stack_info:
            return None
        # A class of the application may make its message in another way.
        if record.__class__ is not _Record or record.exc_text:
            return None
        if self._sources() and self._context.current() is not NOTHING:
            return None
        message = record.msg
        if message.__class__ is not str:
            return None
        args = record.args
        text = _dumps(message % args if args else message)
        if text[1] == _BRACE or text == _NONE or len(text) > self._max_bytes:
            return None
        site = self._sites.get(
            (record.pathname, record.lineno, record.funcName, record.name, record.levelno)
        ) or self._new_site(record)
        created = record.created
        second = int(created)
        known, stamp = self._second
        if known != second:
            stamp = self._new_second(second)
        return site.rank, b'%b%010x","timestamp":"%b%09dZ",%b"textPayload":%b}' % (
            ids.head, ids.number(), stamp, (created - second) * 1e9, site.fragment, text,
        )  # fmt: skip

    def encode_full(self, record: logging.LogRecord, ids: InsertIds) -> list[tuple[int, bytes]]:
        """Encode any record, as faithfully as the API allows; several entries if it is long."""
        return self._full.encode(record, ids)

    def _new_second(self, second: int) -> bytes:
        # Zero is refused too: half a second before 1970 is truncated to it.
        if not 0 < second <= time.time() + DAY_SECONDS - 1:
            raise _NotPlainError
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        self._second = (second, stamp)  # one assignment: other threads see both or neither
        return stamp

    def _new_site(self, record: logging.LogRecord) -> Site:
        key = record.pathname, record.lineno, record.funcName, record.name, record.levelno
        names = f"{record.pathname}{record.funcName}{record.name}"
        location, is_repaired = location_of(record)
        is_odd = is_repaired or record.name.__class__ is not str
        if is_odd or len(names) > _MAX_SITE_CHARACTERS:
            raise _NotPlainError
        rank = rank_of_level(record.levelno)
        parts = [b'"severity":"%b",' % SEVERITIES[rank]]
        if self._names_logger and record.name:
            parts.append(b'"labels":%b,' % _dumps({"python_logger": record.name}))
        parts.append(b'"sourceLocation":%b,' % _dumps(location))
        if len(self._sites) >= _MAX_SITES:  # loggers named by request, generated code
            self._sites = {}
        site = self._sites[key] = Site(rank, b"".join(parts))
        return site


class _NotPlainError(Exception):
    """The record needs the full road."""
