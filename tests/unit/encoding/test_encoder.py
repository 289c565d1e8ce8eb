"""One record becomes one entry: severity, time, labels, source; the encoders agree."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import EncoderBench, record_of

from forklog.emulator.timestamps import SECOND, parse
from forklog.encoding.call_site import OWN_LOGGERS
from forklog.severity import SEVERITIES, rank_of_level


def _severity(record: logging.LogRecord) -> str:
    """Return the severity as the service has it: it leaves DEFAULT out of what it lists."""
    return str(EncoderBench().one(record).get("severity", "DEFAULT"))


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (logging.NOTSET, "DEFAULT"), (5, "DEFAULT"), (-1, "DEFAULT"),
        (logging.DEBUG, "DEBUG"), (15, "DEBUG"),
        (logging.INFO, "INFO"), (25, "INFO"), (29.9, "INFO"),
        (logging.WARNING, "WARNING"), (35, "WARNING"),
        (logging.ERROR, "ERROR"), (logging.CRITICAL, "CRITICAL"), (1000, "CRITICAL"),
        (True, "DEFAULT"), (math.nan, "DEFAULT"), (math.inf, "CRITICAL"), (10**400, "CRITICAL"),
        (None, "DEFAULT"), ("ERROR", "DEFAULT"), ([], "DEFAULT"),
        (100, "DEBUG"), (200, "INFO"), (300, "NOTICE"), (400, "WARNING"), (500, "ERROR"),
        (600, "CRITICAL"), (700, "ALERT"), (800, "EMERGENCY"), (900, "CRITICAL"), (701, "CRITICAL"),
    ],
)  # fmt: skip
def test_severities(level: Any, severity: str) -> None:
    """A level maps to the nearest lower standard severity; what is no number to DEFAULT.

    The numbers of Cloud Logging's own severities are these.
    """
    assert SEVERITIES[rank_of_level(level)] == severity.encode()
    assert _severity(record_of(levelno=level)) == severity
    assert _severity(record_of(levelno=level, labels={"a": "b"})) == severity


def test_a_plain_record() -> None:
    """A plain record has time, severity, logger, source and text, and nothing else."""
    entry = EncoderBench().one(record_of("hello %s", ("you",), created=1_700_000_000.123456))
    for name in ("insertId", "receiveTimestamp", "logName", "resource"):
        del entry[name]
    assert entry == {
        "timestamp": "2023-11-14T22:13:20.123456001Z",
        "severity": "INFO",
        "labels": {"python_logger": "app"},
        "sourceLocation": {"file": "/srv/app.py", "line": "7", "function": "view"},
        "textPayload": "hello you",
    }


def test_the_time_is_the_records_in_nanoseconds() -> None:
    """The timestamp is the record's own time with nine digits, from each encoder."""
    record = record_of()
    short, full = EncoderBench().both(record)
    assert short["timestamp"] == full["timestamp"]
    assert abs(parse(short["timestamp"]) - record.created * SECOND) < 1000


def test_the_cached_second_changes_with_time() -> None:
    """Records of different seconds, in any order, keep their own time."""
    bench = EncoderBench()
    times = [1_700_000_000.5, 1_700_000_001.25, 1_700_000_000.75, 1.5, 0.5, 1_699_999_999.0]
    for created in times:
        entry = bench.one(record_of(created=created))
        assert parse(entry["timestamp"]) == int(created * 4) * SECOND // 4


def test_half_a_second_before_1970_is_no_malformed_time() -> None:
    """A time just below zero, which truncates to second zero, needs the lenient encoder."""
    bench = EncoderBench()
    bench.one(record_of(created=0.25))
    assert bench.encoder.encode_lenient(record_of(created=0.25), bench.ids)
    assert bench.one(record_of(created=-0.25))["labels"]["forklog_repaired"] == "timestamp"


def test_call_sites_are_not_mixed_up() -> None:
    """Two loggers, levels, functions, files or lines never share a cached fragment."""
    bench = EncoderBench()
    first = bench.one(record_of())
    changes = {"name": "b", "levelno": 40, "funcName": "g", "pathname": "/f", "lineno": 8}
    for field, value in changes.items():
        changed = record_of(**{field: value})
        entry = bench.one(changed)
        assert entry["labels"]["python_logger"] == changed.name
        assert entry["severity"] == ("ERROR" if field == "levelno" else "INFO")
        assert entry["sourceLocation"] == {
            "file": changed.pathname, "line": str(changed.lineno), "function": changed.funcName,
        }  # fmt: skip
    again = bench.one(record_of())
    for entry in (first, again):
        del entry["insertId"], entry["timestamp"], entry["receiveTimestamp"]
    assert again == first


def test_very_many_call_sites_are_right() -> None:
    """Loggers named by request do not fill the memory, and each entry names its own."""
    bench = EncoderBench()
    for number in range(10_000):
        (raw,) = bench.raw(record_of(name=f"request.{number}"))
        assert json.loads(raw)["labels"]["python_logger"] == f"request.{number}"
    assert len(bench.encoder._sites) <= 4096


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        ({}, "app", {"python_logger": "app"}),
        ({"env": "prod"}, "app", {"python_logger": "app", "env": "prod"}),
        ({"python_logger": "mine"}, "app", {"python_logger": "mine"}),
        ({}, "", None),
        ({}, None, None),
        ({}, 5, {"python_logger": "5"}),
        ({}, "a\ud800", {"python_logger": "a\\ud800"}),
    ],
)
def test_the_loggers_name_is_a_label(
    labels: dict[str, str], name: Any, expected: dict[str, str] | None
) -> None:
    """The logger's name is the label python_logger, unless it has none or the handler sets it."""
    entry = EncoderBench(labels).one(record_of(name=name))
    assert entry.get("labels") == expected


def test_labels_of_extra_win() -> None:
    """Labels of extra= replace the handler's, and the logger's name if they say so."""
    bench = EncoderBench({"env": "prod", "zone": "z"})
    entry = bench.one(record_of("m", labels={"env": "dev", "python_logger": "other"}))
    assert entry["labels"] == {"env": "dev", "zone": "z", "python_logger": "other"}


def test_all_extras_at_once() -> None:
    """Every key of extra= that the stock handler knows reaches its field; others do not."""
    entry = EncoderBench().one(
        record_of(
            "m",
            labels={"a": "b"},
            trace="projects/p/traces/t",
            span_id="000000000000000a",
            trace_sampled=True,
            http_request={"requestMethod": "GET", "status": 200},
            source_location={"file": "f", "line": 5, "function": "g"},
            json_fields={"n": 1},
            resource={"type": "generic_task", "labels": {"job": "j"}},
            other="ignored",
        )
    )
    for name in ("insertId", "receiveTimestamp", "timestamp", "logName"):
        del entry[name]
    assert entry == {
        "severity": "INFO",
        "labels": {"python_logger": "app", "a": "b"},
        "trace": "projects/p/traces/t",
        "spanId": "000000000000000a",
        "traceSampled": True,
        "httpRequest": {"requestMethod": "GET", "status": 200},
        "sourceLocation": {"file": "f", "line": "5", "function": "g"},
        "jsonPayload": {"n": 1, "message": "m"},
        "resource": {"type": "generic_task", "labels": {"job": "j", "project_id": "p"}},
    }


def test_another_handler_before_changes_nothing() -> None:
    """A record that another handler has formatted gives the same entry."""
    record = record_of("hello %s", ("you",))
    first = EncoderBench().one(record)
    logging.Formatter("%(asctime)s %(message)s").format(record)
    assert record.message == "hello you"
    second = EncoderBench().one(record)
    for entry in (first, second):
        del entry["insertId"], entry["receiveTimestamp"]
    assert second == first


def test_other_extras_change_nothing() -> None:
    """An extra that means nothing to Cloud Logging leaves the entry as it is."""
    record = record_of("hello")
    first = EncoderBench().one(record)
    record.__dict__.update({"user": "u", "request": object(), "ä": 1, "_labels_str": "x"})
    second = EncoderBench().one(record)
    for entry in (first, second):
        del entry["insertId"], entry["receiveTimestamp"]
    assert second == first


_PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_SPAN_OF_TIME = st.floats(1, time.time())


@given(
    msg=_PLAIN_TEXT.filter(lambda text: text[:1] != "{" and text != "None"),
    created=_SPAN_OF_TIME,
    level=st.integers(0, 60),
    line=st.integers(0, 10**6),
    name=_PLAIN_TEXT.filter(lambda text: not text.startswith(OWN_LOGGERS)),
    path=_PLAIN_TEXT,
    function=_PLAIN_TEXT | st.none(),
)
@example("100 %", 1.5, 25, 1, "", "", None)
@example("Not found", 1.5, 25, 1, "", "", None)
def test_the_fast_path_agrees_with_the_lenient_encoder(  # noqa: PLR0913 - the fields of a record
    msg: str, created: float, level: int, line: int, name: str, path: str, function: str | None
) -> None:
    """A plain record gives the same entry by the fast path as by the lenient encoder."""
    record = record_of(
        msg, created=created, levelno=level, lineno=line, name=name, pathname=path,
        funcName=function,
    )  # fmt: skip
    short, full = _SHARED.both(record)
    assert short == full


_SHARED = EncoderBench({"env": "test"})
