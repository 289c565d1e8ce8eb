"""A formatter of the application is called once for a record, as logging calls it."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from forklog import CloudLoggingHandler, StructuredLogHandler

if TYPE_CHECKING:
    from forklog.testing import FakeTransport


class _Marking(logging.Formatter):
    """Changes the record and counts, as formatters do that are written for one call."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.calls = text, 0

    def format(self, record: logging.LogRecord) -> str:
        self.calls += 1
        record.msg = f"{self.text}{record.msg}"
        record.__dict__.pop("user")  # a second call has none
        return super().format(record)


_EXTRAS: list[tuple[str, dict[str, Any]]] = [
    ("plain ", {}),
    ('{"a":1}', {}),
    ("{no json", {}),
    ("y" * 45_000, {}),
    ("\ud800", {}),
    ("labels", {"labels": {"n": 1}}),
    ("long label", {"labels": {"q": "z" * 1001}}),
    ("fields", {"json_fields": {"t": {1: 2}}}),
    ("no fields", {"json_fields": [1]}),
    ("trace", {"trace": 5}),
    ("sampled", {"trace_sampled": "yes"}),
    ("request", {"http_request": {"status": 200}}),
    ("time", {"created": -1.0}),
]


@pytest.mark.parametrize(("text", "extra"), _EXTRAS, ids=[repr(t[:12]) for t, _ in _EXTRAS])
@pytest.mark.parametrize("kind", ["cloud", "structured"])
def test_a_formatter_is_called_once(
    text: str, extra: dict[str, Any], kind: str, forklog_transport: FakeTransport
) -> None:
    """Whatever else the record holds; the entry has what the one call returned."""
    formatter, stream = _Marking(text), io.StringIO()
    handler: logging.Handler = StructuredLogHandler(stream=stream)
    if kind == "cloud":
        handler = CloudLoggingHandler(project="p", transport=forklog_transport)
    handler.setFormatter(formatter)
    handler.handle(logging.makeLogRecord({"msg": "", "name": "app", "user": "ann", **extra}))
    handler.close()
    assert formatter.calls == 1
    whole = stream.getvalue() + json.dumps(forklog_transport.entries)
    assert "withheld" not in whole
    assert text[:8].strip("{}\ud800") in whole.replace("\\", "").replace(": ", ":")


@pytest.mark.parametrize("kind", ["cloud", "structured"])
def test_a_formatter_that_raises_is_called_once(
    kind: str, forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call, whose error is named; a second one might have succeeded."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    formatter, stream = _Marking(""), io.StringIO()
    handler: logging.Handler = StructuredLogHandler(stream=stream)
    if kind == "cloud":
        handler = CloudLoggingHandler(project="p", transport=forklog_transport)
    handler.setFormatter(formatter)
    handler.handle(logging.makeLogRecord({"msg": "m", "labels": {"n": 1}}))
    handler.close()
    assert formatter.calls == 1
    assert "KeyError" in stream.getvalue() + json.dumps(forklog_transport.entries)
