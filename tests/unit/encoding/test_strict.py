"""The strict encoder takes what applications log, and makes what the lenient encoder makes."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import EncoderBench, accepted, record_of

from forklog.context.base import NOTHING, Context, LogContext, RequestFields
from forklog.context.sources import SOURCES
from forklog.encoding.strict import LAST_FIELD

TRACE = "projects/p/traces/0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def _failed() -> Any:
    try:
        raise ValueError("of the application")
    except ValueError:
        return sys.exc_info()


USUAL: dict[str, dict[str, Any]] = {
    "labels": {"labels": {"order": "7", "größe": "ü"}},
    "no labels": {"labels": {}},
    "labels that name a logger": {"labels": {"python_logger": "other"}},
    "fields": {"json_fields": {"total": 12.5, "items": [1, {"a": None}], "message": "hidden"}},
    "both": {"labels": {"a": "b"}, "json_fields": {"n": 1}},
    "trace": {"trace": TRACE, "span_id": SPAN, "trace_sampled": True},
    "not sampled": {"trace": TRACE, "trace_sampled": False},
    "nothing given": {"trace": None, "span_id": None, "labels": None, "json_fields": None},
    "exception": {"exc_info": _failed()},
    "stack": {"stack_info": "Stack (most recent call last):\n  here"},
    "another's extra": {"user": object()},
    "formatted before": {"message": "hello", "asctime": "now"},
    "text of an exception": {"exc_text": "Traceback of long ago"},
}


def _by_strict(
    bench: EncoderBench, record: logging.LogRecord, log_context: LogContext = NOTHING
) -> dict[str, Any] | None:
    """Return a record's entry without its id; nothing if it is not usual."""
    try:
        item = bench.encoder.encode_strict(record, bench.ids.opening, log_context=log_context)
    except Exception:  # noqa: BLE001 - it is the handler's rule
        return None
    return None if item is None else _without_id(accepted(item[1], bench.labels))


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    del entry["insertId"], entry["receiveTimestamp"]
    return entry


def _by_lenient(bench: EncoderBench, record: logging.LogRecord) -> dict[str, Any]:
    ((_, raw),) = bench.encoder.encode_lenient(record, bench.ids)
    return _without_id(accepted(raw, bench.labels))


@pytest.mark.parametrize("extra", USUAL.values(), ids=list(USUAL))
@pytest.mark.parametrize("labels", [{}, {"env": "prod"}, {"python_logger": "mine"}], ids=str)
def test_what_applications_log_takes_it(extra: dict[str, Any], labels: dict[str, str]) -> None:
    """Well-formed extras take the strict encoder, to the entry that the lenient one makes."""
    bench, record = EncoderBench(labels), record_of("hello %s", ("you",), **extra)
    assert bench.encoder.encode(record, bench.ids.opening) is not None
    assert _by_strict(bench, record) == _by_lenient(bench, record)


ODD: dict[str, dict[str, Any]] = {
    "labels of other types": {"labels": {"order": 7}},
    "labels that are none": {"labels": "order"},
    "labels that are nothing else": {"labels": []},
    "a long label": {"labels": {"k": "x" * 70_000}},
    "many labels": {"labels": {str(n): "x" for n in range(70)}},
    "not finite": {"json_fields": {"a": float("nan")}},
    "keys that are no text": {"json_fields": {1: 2}},
    "fields that are none": {"json_fields": [1]},
    "a surrogate": {"json_fields": {"a": "\ud800"}},
    "much": {"json_fields": {"a": "x" * 300_000}},
    "a long span": {"span_id": "s" * 2_000},
    "a span that is a number": {"span_id": 5},
    "a wrong trace": {"trace": 5},
    "a long trace": {"trace": "x" * 2000},
    "sampled by number": {"trace_sampled": 1},
    "a request": {"http_request": {"status": 200}},
    "google's filter": {"_labels": {"a": "b"}, "_trace": TRACE},
    "a mapping": {"msg": {"a": 1}},
    "looks like JSON": {"msg": '{"a": 1}', "labels": {"b": "c"}},
    "a wrong argument": {"msg": "%d", "args": ("x",), "labels": {"b": "c"}},
    "a time to come": {"created": 9e12, "labels": {"b": "c"}},
}


@pytest.mark.parametrize("extra", ODD.values(), ids=list(ODD))
def test_what_needs_a_repair_takes_the_lenient_encoder(extra: dict[str, Any]) -> None:
    """What is not well-formed is left to the lenient encoder; a record arrives either way."""
    bench, record = EncoderBench(), record_of(**{"msg": "hello", **extra})
    assert _by_strict(bench, record) is None
    assert bench.raw(record)


_TEXTS = st.text(max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(_TEXTS, _TEXTS | st.integers(), max_size=4) | _VALUES,
        "json_fields": st.dictionaries(_TEXTS, _VALUES, max_size=4) | _VALUES,
        "trace": st.just(TRACE) | _VALUES,
        "span_id": st.just(SPAN) | _VALUES,
        "trace_sampled": _VALUES,
        "exc_text": st.none() | _TEXTS,
        "stack_info": st.none() | _TEXTS,
        "user": _VALUES,
    },
)


@given(_EXTRAS, _TEXTS, st.floats(1, 2e9), st.sampled_from([{}, {"env": "prod"}]))
def test_the_strict_encoder_agrees_with_the_lenient_one(
    extra: dict[str, Any], message: str, created: float, labels: dict[str, str]
) -> None:
    """Any record that the strict encoder takes becomes what the lenient one makes of it."""
    bench, record = EncoderBench(labels), record_of(message, created=created, **extra)
    entry = _by_strict(bench, record)
    assert entry is None or entry == _by_lenient(bench, record)


_SPARE = {"levelname", "msecs", "thread", "threadName", "processName", LAST_FIELD}
_MORE: list[dict[str, Any]] = [{"labels": {"a": "b"}}, {"json_fields": {"n": 1}}]
# The plain path looks for the last field alone: each look costs every record.
_CUT = [(LAST_FIELD, {}), *((missing, more) for missing in sorted(_SPARE) for more in _MORE)]


@pytest.mark.parametrize(("missing", "more"), _CUT)
def test_a_record_without_a_field_of_logging_keeps_its_trace(
    missing: str, more: dict[str, Any]
) -> None:
    """A filter may remove a field: what ``extra=`` gives in its place is not taken for it.

    Closes the class: kinds of records distinguished by the number of their fields alone.
    """
    bench, record = EncoderBench(), record_of("hello", trace=TRACE, **more)
    del record.__dict__[missing]
    try:
        item = bench.encoder.encode(record, bench.ids.opening)
    except Exception:  # noqa: BLE001 - it is the handler's rule
        item = None
    assert item is None or json.loads(item[1])["trace"] == TRACE


def test_the_request_of_a_context_is_encoded_once() -> None:
    """All records of a request share its bytes, and have the trace that its headers give."""
    app = flask.Flask("app")
    headers = {"traceparent": f"00-{TRACE[-32:]}-{SPAN}-01", "User-Agent": "test"}
    bench = EncoderBench()
    with app.test_request_context("/path?a=b", headers=headers):
        contexts = [Context(SOURCES).current() for _ in range(2)]
        items = [
            bench.encoder.encode(record_of("in a request", **extra), bench.ids.opening)
            for extra in ({}, {"labels": {"a": "b"}})
        ]
        wanted = _by_lenient(bench, record_of("in a request"))
    assert contexts[0] is contexts[1]
    assert isinstance(contexts[0].http_request, RequestFields)
    assert contexts[0].http_request.encoded
    entries = [accepted(item[1]) for item in items if item]
    assert [entry["trace"] for entry in entries] == [TRACE] * 2
    assert [entry["httpRequest"] for entry in entries] == [wanted["httpRequest"]] * 2
    assert wanted["httpRequest"]["requestUrl"] == "http://localhost/path?a=b"
    with app.test_request_context("/other"):
        request = Context(SOURCES).current().http_request
        assert request is not None
        assert request["requestUrl"] == "http://localhost/other"


def test_an_environment_that_was_passed_on_is_read_anew() -> None:
    """Where a copy of a request's environment goes to another path, the entry says so."""
    app = flask.Flask("app")
    with app.test_request_context("/first"):
        assert Context(SOURCES).current().http_request is not None
        passed_on = {**flask.request.environ, "PATH_INFO": "/second"}
    with app.request_context(passed_on):
        request = Context(SOURCES).current().http_request
    assert request is not None
    assert request["requestUrl"] == "http://localhost/second"


def test_a_formatter_makes_the_text() -> None:
    """With a formatter on the handler the text is its own, in this encoder too."""
    formatter = logging.Formatter("<%(levelname)s> %(message)s")
    bench = EncoderBench(formatter=formatter)
    record = record_of("hello", labels={"a": "b"})
    item = bench.encoder.encode_strict(record, bench.ids.opening, is_formatted=True)
    assert item is not None
    assert json.loads(item[1])["textPayload"] == "<INFO> hello"
