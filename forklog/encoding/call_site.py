"""Encodes what all records of a call site have in common, once, for the encoders.

Severity, logger, file, line and function are the same at each record of one call. Call sites that
need a repair, and those of our own requests, have no fragment; `LenientEncoder` takes them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from forklog.encoding.repair import location_of
from forklog.encoding.text import attribute_of, safe_text
from forklog.severity import SEVERITIES, rank_of_level

# What our own requests log, in the flush thread, must not become records to send: the handler looks
# at the thread of such a record.
OWN_LOGGERS = (
    "urllib3",
    "google.api_core",
    "google.auth",
    "google.cloud",
    "google.oauth2",
    "google_auth",
    "grpc",
    "requests",
    "charset_normalizer",
    "forklog",
)
_MAX_SITES = 4096
_MAX_LINE = 2**31
_MAX_SITE_CHARACTERS = 500  # what is longer is cut, by the lenient encoder

# One step for several fields: half the price of reading them one by one.
key_of = itemgetter("pathname", "lineno", "funcName", "name", "levelno")


class NotWellFormedError(Exception):
    """The record needs the lenient encoder."""


class FormattedError(NotWellFormedError):
    """The same, of a record whose text was made: a formatter is called once for a record."""

    def __init__(self, text: str) -> None:
        """Keep the text, by a name that no other exception has."""
        super().__init__()
        self.forklog_formatted = text


@dataclass(frozen=True, slots=True)
class CallSite:
    """The parts of an entry that depend on its call site alone."""

    rank: int
    plain: tuple[int, bytes]
    """For a plain record: rank, and all from the end of the timestamp to the text payload."""
    severity: bytes
    labels: Mapping[str, str]
    """The logger's name and the labels of the process."""
    own: bytes
    """The same as JSON, without braces; empty where there is none."""
    location: bytes


class CallSiteCache:
    """Remember call sites by `key_of` their records. Safe from any thread, without a lock."""

    def __init__(
        self, *, names_logger: bool, own_labels: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        """Start empty.

        Args:
            names_logger: whether entries name their logger.
            own_labels: returns the labels of this process.
        """
        self._names_logger, self._own_labels = names_logger, own_labels
        self._known: dict[tuple[Any, ...], CallSite] = {}
        self._plain: dict[tuple[Any, ...], tuple[int, bytes]] = {}
        self.get, self.plain_of = self._known.get, self._plain.get

    def forget(self) -> None:
        """Begin anew, with the labels of the process that asks."""
        self._known.clear()
        self._plain.clear()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._known)

    def add(self, record: logging.LogRecord) -> CallSite:
        """Remember and return the site of a record.

        Raises:
            NotWellFormedError: it has none.
        """
        names = f"{record.pathname}{record.funcName}{record.name}"
        location, is_repaired = _location_of(record)
        is_odd = is_repaired or type(record.name) is not str
        if is_odd or len(names) > _MAX_SITE_CHARACTERS or record.name.startswith(OWN_LOGGERS):
            raise NotWellFormedError
        rank = rank_of_level(record.levelno)
        severity = b'Z","severity":"%b",' % SEVERITIES[rank]
        named = {"python_logger": record.name} if self._names_logger and record.name else {}
        own = {**named, **self._own_labels()}
        inner = orjson.dumps(own)[1:-1]
        place = b'"sourceLocation":%b,' % orjson.dumps(location)
        labels = b'"labels":{%b},' % inner if inner else b""
        fragment = b'%b%b%b"textPayload":' % (severity, labels, place)
        if len(self._known) >= _MAX_SITES:  # loggers named by request, generated code
            self.forget()
        key, plain = key_of(record.__dict__), (rank, fragment)
        self._plain[key] = plain
        site = self._known[key] = CallSite(rank, plain, severity, own, inner, place)
        return site


def _location_of(record: logging.LogRecord) -> tuple[dict[str, str] | None, bool]:
    """Do as `location_of`; a usual place, such as a child's first record has, needs no repairs."""
    file, line, function = record.pathname, record.lineno, record.funcName
    are_texts = type(file) is str and type(function) is str
    if are_texts and type(line) is int and 0 <= line < _MAX_LINE:
        return {"file": file, "function": function, "line": str(line)}, False
    return location_of(record)


def is_own_record(record: logging.LogRecord, worker_ident: int) -> bool:
    """Tell whether a record that the flush thread made is about our own requests.

    An application's finalizers may run in that thread too, and what they log counts.

    Args:
        record: any record.
        worker_ident: the ident of the flush thread.
    """
    thread = attribute_of(record, "thread")
    if (threading.get_ident() if thread is None else thread) != worker_ident:
        return False
    return safe_text(attribute_of(record, "name")).startswith(OWN_LOGGERS)
