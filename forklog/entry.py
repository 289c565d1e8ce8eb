"""Step 3, the encoder: one LogRecord to one LogEntry as final JSON bytes; gives them to the buffer.

Nothing of the record is kept: what the caller changes afterwards does not matter, sizes are exact,
and the flush thread only joins bytes. A plain record (no ``extra=``, no exception) takes the short
road: the fragments that depend on the call site alone are cached, the rest is one format operation.
Every other record, and every record on which the short road stumbles, takes the full one, in
`forklog.full`; both make the same entry of the same record.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import orjson

from forklog.context import NOTHING, Context
from forklog.draft import SEVERITIES
from forklog.full import FullRoad, drop_notice, rank_of_level
from forklog.insert_id import InsertIds
from forklog.labels import names_logger
from forklog.limits import SURELY_SMALL_BYTES
from forklog.repair import DAY_SECONDS, location_of

__all__ = ["OWN_LOGGERS", "SEVERITIES", "Encoder", "drop_notice", "rank_of_level"]

# A record with more fields than this has an extra, or was formatted by another handler before.
_PLAIN_FIELDS = len(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)
_MAX_SITES = 4096
_MAX_SITE_CHARACTERS = 500  # sites are cached; what is longer is cut, on the full road
_BRACE = ord("{")
_NONE = b'"None"'
_UNKNOWN: Mapping[str, Any] = {}
# What our own requests log, in the flush thread, must not become records to send: the handler looks
# at the thread of such a record, so it is not plain.
OWN_LOGGERS = (
    "urllib3",
    "google.auth",
    "google.oauth2",
    "google_auth",
    "requests",
    "charset_normalizer",
    "forklog",
)
_dumps = orjson.dumps
_modules = sys.modules
_Record = logging.LogRecord
# One step for several fields: half the price of reading them one by one.
_site_of = itemgetter("pathname", "lineno", "funcName", "name", "levelno")
_content_of = itemgetter("msg", "args", "created", "exc_info", "exc_text", "stack_info")


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
        self._full = FullRoad(format_record, labels, project, self._context, resource)
        self._names_logger = names_logger(labels)
        self._max_bytes = min(SURELY_SMALL_BYTES, self._full.room)
        self._sites: dict[tuple[Any, ...], tuple[int, bytes]] = {}
        """What all records of one call site have in common: severity rank, fragment."""
        self._second = (math.nan, b"")  # equal to no second

    def encode(
        self, record: logging.LogRecord, opening: Callable[[], bytes]
    ) -> tuple[int, bytes] | None:
        """Encode a plain record by the short road; None, or any exception, if it is not plain.

        Args:
            record: any record.
            opening: that of the pipeline's `InsertIds`.

        Returns:
            Severity rank and entry.
        """
        fields = record.__dict__
        # A class of the application may make its message in another way.
        if len(fields) != _PLAIN_FIELDS or record.__class__ is not _Record:
            return None
        message, args, created, exc_info, exc_text, stack_info = _content_of(fields)
        if exc_info or exc_text or stack_info or message.__class__ is not str:
            return None
        context = self._context
        may_have_task = context.has_sources or len(_modules) != context.modules_seen
        if may_have_task and context.current() is not NOTHING:
            return None
        text = _dumps(message % args if args else message)
        if text[1] == _BRACE or len(text) > self._max_bytes or text == _NONE:
            return None
        rank, fragment = self._sites.get(_site_of(fields)) or self._new_site(record)
        second, stamp = self._second
        rest = created - second
        if not 0.0 <= rest < 1.0:
            second, stamp = self._new_second(created)
            rest = created - second
        # Nine digits behind a one: the cheapest way to have leading zeros.
        digits = _dumps(int(rest * 1e9 + 1e9))
        return rank, b"".join((opening(), stamp, digits[1:], fragment, text, b"}"))

    def encode_full(self, record: logging.LogRecord, ids: InsertIds) -> list[tuple[int, bytes]]:
        """Encode any record, as faithfully as the API allows; several entries if it is long."""
        return self._full.encode(record, ids)

    def _new_second(self, created: float) -> tuple[float, bytes]:
        if not 0 <= created <= time.time() + DAY_SECONDS - 1:
            raise _NotPlainError
        second = float(int(created))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        known = self._second = second, stamp  # one step: other threads see both or neither
        return known

    def _new_site(self, record: logging.LogRecord) -> tuple[int, bytes]:
        names = f"{record.pathname}{record.funcName}{record.name}"
        location, is_repaired = location_of(record)
        is_odd = is_repaired or record.name.__class__ is not str
        if is_odd or len(names) > _MAX_SITE_CHARACTERS or record.name.startswith(OWN_LOGGERS):
            raise _NotPlainError
        rank = rank_of_level(record.levelno)
        parts = [b'Z","severity":"%b",' % SEVERITIES[rank]]
        if self._names_logger and record.name:
            parts.append(b'"labels":%b,' % _dumps({"python_logger": record.name}))
        parts.append(b'"sourceLocation":%b,"textPayload":' % _dumps(location))
        if len(self._sites) >= _MAX_SITES:  # loggers named by request, generated code
            self._sites = {}
        site = self._sites[_site_of(record.__dict__)] = rank, b"".join(parts)
        return site


class _NotPlainError(Exception):
    """The record needs the full road."""
