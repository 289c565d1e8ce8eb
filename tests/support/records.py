"""Makes records for the encoder's tests, encodes them, and has the emulator judge the entries."""

from __future__ import annotations

import collections
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from forklog.context.base import Context
from forklog.context.sources import SOURCES
from forklog.emulator.api.schema import read_entry
from forklog.emulator.api.size import MAX_ENTRY_BYTES, entry_bytes
from forklog.emulator.api.validate import Defaults, settle
from forklog.encoding.encoder import Encoder
from forklog.insert_id import InsertIds

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCE = {"type": "global", "labels": {"project_id": "p"}}


def record_of(msg: Any = "hello", args: Any = None, **fields: Any) -> logging.LogRecord:
    """Return a record of a plain call, but for the attributes given."""
    record = logging.LogRecord("app", logging.INFO, "/srv/app.py", 7, msg, args, None, "view")
    record.__dict__.update(fields)
    return record


class Hostile:
    """An object of which every question raises."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("no text")

    __repr__ = __bool__ = __len__ = __iter__ = __str__  # type: ignore[assignment]
    keys = items = total_seconds = _to_dict = __str__


class HostileMapping(collections.UserDict[str, Any]):
    """A mapping that cannot be read."""

    def __iter__(self) -> Any:
        """Raise."""
        raise RuntimeError("no keys")

    __getitem__ = get = __len__ = keys = items = __iter__  # type: ignore[assignment]


class EncoderBench:
    """An encoder on its own, whose entries are judged as Cloud Logging would."""

    def __init__(
        self,
        labels: Mapping[str, str] | None = None,
        formatter: logging.Formatter | None = None,
        project: str | None = "p",
    ) -> None:
        """Make the encoder and insertIds of one process."""
        handler = logging.Handler()
        handler.setFormatter(formatter)
        self.labels = dict(labels or {})
        self._formatter = formatter
        self.ids = InsertIds()
        self.encoder = Encoder(
            handler.format, self.labels, lambda: project, context=Context(SOURCES)
        )

    def raw(self, record: logging.LogRecord) -> list[bytes]:
        """Return the bytes of a record's entries, by the encoder that the handler would use."""
        item = None
        try:
            if self._formatter is None:
                item = self.encoder.encode(record, self.ids.opening)
        except Exception:  # noqa: BLE001, S110 - it is the handler's rule
            pass
        items = [item] if item else self.encoder.encode_lenient(record, self.ids)
        return [entry for _, entry in items]

    def all(self, record: logging.LogRecord) -> list[dict[str, Any]]:
        """Return a record's entries as the server keeps them; fail if it would refuse one."""
        return [accepted(raw, self.labels) for raw in self.raw(record)]

    def one(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return a record's only entry as the server keeps it."""
        (entry,) = self.all(record)
        return entry

    def both(self, record: logging.LogRecord) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the record's entry by the fast path and by the lenient encoder, without ids."""
        short = self.encoder.encode(record, self.ids.opening)
        assert short is not None, "the record is not plain"
        (full,) = self.encoder.encode_lenient(record, self.ids)
        assert short[0] == full[0]
        pair = [accepted(raw, self.labels) for _, raw in (short, full)]
        for entry in pair:
            del entry["insertId"], entry["receiveTimestamp"]
        return pair[0], pair[1]


def accepted(raw: bytes, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the entry as the server keeps it; fail if it would refuse the entry or its request."""
    violations: list[tuple[str, str]] = []
    entry = read_entry(json.loads(raw, object_pairs_hook=_once), "entries[0]", violations)
    assert not violations
    defaults = Defaults("projects/p/logs/app", RESOURCE, dict(labels or {}), time.time_ns())
    row = settle(entry, defaults, 0, "none")
    assert entry_bytes(entry) <= MAX_ENTRY_BYTES
    kept: dict[str, Any] = json.loads(row.body)
    return kept


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; fail if a name comes twice, which the real API refuses."""
    made = dict(pairs)
    assert len(made) == len(pairs), sorted(name for name, _ in pairs)
    return made
