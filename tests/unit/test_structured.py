"""Lines of JSON for an agent: the same entries, in the agents' form, whole and bounded."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import logging.config
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import google.cloud.logging_v2
import pytest
from google.cloud.logging_v2.handlers import StructuredLogHandler as Stock
from records import Hostile, record_of

import forklog
from forklog import CloudLoggingHandler, OptionError, StructuredLogHandler
from forklog.emulator.timestamps import parse

if TYPE_CHECKING:
    from forklog.testing import FakeTransport

_GOOGLE = "logging.googleapis.com/"
_TRACE = "0af7651916cd43dd8448eb211c80319c"
_RECORDS: list[dict[str, Any]] = [
    {"msg": "text"},
    {"msg": 'quote " back \\ line\nfeed \x01 ünï 😀 \u2028'},
    {"msg": ""},
    {"msg": "None"},
    {"msg": "None", "json_fields": {"a": 1}},
    {"msg": {"message": "m", "n": 1, "deep": {"list": [1, None]}}},
    {"msg": {}},
    {"msg": '{"parsed": {"n": 1}}'},
    {"msg": "with fields", "json_fields": {"n": 1}},
    {"msg": "labelled", "labels": {"c": "d", "env": "own"}},
    {"msg": "traced", "trace": "t", "span_id": "456", "trace_sampled": True},
    {"msg": "request", "http_request": {"requestMethod": "GET", "status": 404}},
    {"msg": "placed", "source_location": {"file": "f", "line": 5, "function": "g"}},
    {"msg": "levelled", "levelno": logging.CRITICAL, "levelname": "CRITICAL"},
]


def _lines(*records: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    handler = StructuredLogHandler(stream=stream, **options)
    for fields in records:
        assert handler.handle(_record(fields))
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def _record(fields: dict[str, Any]) -> logging.LogRecord:
    record = record_of(**fields)
    record.created = 1_795_850_000.25
    return record


@pytest.mark.parametrize("fields", _RECORDS, ids=lambda fields: str(fields)[:30])
def test_a_line_is_the_entry(forklog_transport: FakeTransport, fields: dict[str, Any]) -> None:
    """Each field of the entry that the wire would carry stands in the line under its name."""
    handler = CloudLoggingHandler(project="p", transport=forklog_transport, max_latency=0)
    handler.handle(_record(fields))
    assert handler.flush()
    handler.close()
    (entry,) = forklog_transport.entries
    (line,) = _lines(fields, project_id="p", labels={"env": "test"})
    assert parse(line.pop("time")) == parse(entry["timestamp"])
    assert line.pop("severity") == entry["severity"]
    assert line.pop(f"{_GOOGLE}labels") == {"env": "test", **entry["labels"]}
    assert line.pop(f"{_GOOGLE}sourceLocation") == entry["sourceLocation"]
    assert line.pop(f"{_GOOGLE}trace", None) == entry.get("trace")
    assert line.pop(f"{_GOOGLE}spanId", None) == entry.get("spanId")
    assert line.pop(f"{_GOOGLE}trace_sampled", None) == entry.get("traceSampled")
    assert line.pop("httpRequest", None) == entry.get("httpRequest")
    text = {"message": entry["textPayload"]} if "textPayload" in entry else {}
    assert line == {**text, **entry.get("jsonPayload", {})}


@pytest.mark.parametrize("fields", _RECORDS, ids=lambda fields: str(fields)[:30])
def test_a_line_is_the_stock_handlers(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    """But for the time, and for fields that the stock one prints though they are empty."""
    monkeypatch.setattr(google.cloud.logging_v2, "_instrumentation_emitted", True)
    stream = io.StringIO()
    stock = Stock(stream=stream, project_id="p", labels={"env": "test"})
    stock.handle(_record(fields))
    theirs = {key: value for key, value in json.loads(stream.getvalue()).items() if value}
    (ours,) = _lines(fields, project_id="p", labels={"env": "test"})
    assert ours.pop("time")
    place = ours[f"{_GOOGLE}sourceLocation"]
    place["line"] = int(place["line"])
    assert {key: value for key, value in ours.items() if value} == theirs


def test_a_level_of_the_applications_is_the_nearest_lower_severity() -> None:
    """The stock handler prints the level's name, which is a severity by chance alone."""
    stream = io.StringIO()
    Stock(stream=stream).handle(_record({"levelno": 25, "levelname": "NOTICE"}))
    assert json.loads(stream.getvalue().splitlines()[-1])["severity"] == "NOTICE"
    (line,) = _lines({"levelno": 25, "levelname": "NOTICE"})
    assert line["severity"] == "INFO"


def test_a_payload_cannot_pretend_to_be_the_entry() -> None:
    """A key that an agent would take for the entry's own is left out, and named."""
    payload = {"message": "m", "severity": "EMERGENCY", "time": 5, f"{_GOOGLE}trace": "x", "n": 1}
    (line,) = _lines({"msg": payload})
    assert (line["severity"], line["message"], line["n"]) == ("INFO", "m", 1)
    assert f"{_GOOGLE}trace" not in line
    repaired = line[f"{_GOOGLE}labels"]["forklog_repaired"]
    assert repaired == f"{_GOOGLE}trace,severity,time"


def test_a_request_is_found() -> None:
    """In a request each line has its trace, completed by the project, and the request."""
    headers = {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01"}
    with flask.Flask("app").test_request_context("/path", headers=headers):
        (line,) = _lines({"msg": "m"}, project_id="p")
    assert line[f"{_GOOGLE}trace"] == f"projects/p/traces/{_TRACE}"
    assert line[f"{_GOOGLE}spanId"] == "b7ad6b7169203331"
    assert line[f"{_GOOGLE}trace_sampled"] is True
    assert line["httpRequest"]["requestUrl"] == "http://localhost/path"


def test_bound_fields_are_there() -> None:
    """What `forklog.bound` has bound stands in the line, beside the message."""
    stream = io.StringIO()
    with forklog.bound(user=7):
        StructuredLogHandler(stream=stream).handle(record_of("m"))
    line = json.loads(stream.getvalue())
    assert (line["message"], line["user"]) == ("m", 7)


def test_a_text_beyond_the_limit_is_several_lines() -> None:
    """Each of them has its part of the text, and says of what it is a part."""
    text = "ä" * 400_000
    lines = _lines({"msg": text})
    assert "".join(line["message"] for line in lines) == text
    assert [line["split"]["index"] for line in lines] == list(range(len(lines)))
    assert len({line["split"]["uid"] for line in lines}) == 1


def test_what_cannot_be_encoded_is_repaired() -> None:
    """Values that JSON has no word for, and hostile ones, make a line all the same."""
    odd = {"when": dt.date(2026, 1, 2), "bad": Hostile(), "nan": float("nan"), "\ud800": {1}}
    (line,) = _lines({"msg": odd})
    assert (line["when"], line["nan"], line["\\ud800"]) == ("2026-01-02", "NaN", [1])


class _Encoder(json.JSONEncoder):
    def default(self, o: object) -> Any:
        return {"own": o.real} if isinstance(o, complex) else super().default(o)


def test_an_encoder_of_the_applications() -> None:
    """A JSONEncoder makes payloads plain; where it fails, forklog's rules do."""
    first, second = _lines(
        {"msg": {"z": 1j + 2}}, {"msg": {"z": object}}, json_encoder_cls=_Encoder
    )
    assert first["z"] == {"own": 2.0}
    assert second["z"] == "<class 'object'>"


def test_a_formatter_makes_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    """It is used for the text; where it raises, it is withheld, and `handleError` is called."""
    stream = io.StringIO()
    handler = StructuredLogHandler(stream=stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(record_of("m"))
    handler.setFormatter(logging.Formatter("%(missing)s"))
    handler.handle(record_of("s3cret"))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "INFO m"
    assert "withheld" in second["message"]
    assert "s3cret" not in stream.getvalue()
    assert "missing" in capsys.readouterr().err


def test_a_filter_that_raises_withholds() -> None:
    """Such a record is printed without its content."""

    class Filtered(StructuredLogHandler):
        errors = 0

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
            self.errors += 1

        def filter(self, record: logging.LogRecord) -> bool:
            raise ValueError(record)

    stream = io.StringIO()
    handler = Filtered(stream=stream)
    handler.handle(record_of("s3cret"))
    assert handler.errors == 1
    assert "the filter raised ValueError" in json.loads(stream.getvalue())["message"]
    assert "s3cret" not in stream.getvalue()


def test_it_is_configured_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    """It is configured by name, and prints to stdout itself."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"out": {"class": "forklog.StructuredLogHandler", "level": "INFO",
                                 "project_id": "p", "labels": {"a": "b"}}},
            "loggers": {"configured": {"handlers": ["out"], "level": "DEBUG", "propagate": False}},
        }
    )  # fmt: skip
    logger = logging.getLogger("configured")
    try:
        logger.debug("below")
        logger.info("above")
    finally:
        logger.handlers.clear()
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["message"] == "above"


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"labels": {"a": 1}}, "must be strings"),
        ({"project_id": "My Project!"}, "option project_id='My Project!': must be a project id"),
        ({"stream": "stdout"}, "must have write"),
        ({"stream": 1}, "must have write"),
        ({"json_encoder_cls": 5}, "must be a json.JSONEncoder"),
        ({"json_encoder_cls": dict}, "must be a json.JSONEncoder"),
        ({"level": "LOUD"}, "must be a level"),
        ({"project": "p"}, "is not an option; did you mean project_id\\? known are: extra_fields"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], rule: str) -> None:
    """By the rules of the other handler."""
    with pytest.raises(OptionError, match=rule):
        StructuredLogHandler(**options)


def test_a_reader_that_stopped_costs_five_seconds(tmp_path: Path) -> None:
    """A full pipe is waited for, and then `handleError` has the record; the next line is whole."""

    class Counting(StructuredLogHandler):
        lost: list[str]

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
            self.lost.append(record.getMessage()[:10])

    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with path.open("w") as stream:
        handler = Counting(stream=stream)
        handler.lost = []
        start = time.monotonic()
        handler.handle(record_of("x" * 200_000))
        assert 4 < time.monotonic() - start < 60
        assert handler.lost == ["x" * 10]
        torn = os.read(reader, 1_000_000)
        handler.handle(record_of("after"))
        rest = os.read(reader, 1_000_000)
    os.close(reader)
    lines = (torn + rest).split(b"\n")
    assert json.loads(lines[1])["message"] == "after"
