"""The stock handler and forklog, given the same records, leave the same entries in the emulator.

Deliberate differences, each with its reason in ``docs/delivery.md``: insertId, the digits of the
timestamp, custom levels, and what the stock handler loses.
"""

from __future__ import annotations

import collections
import logging
import sys
from typing import TYPE_CHECKING, Any

import flask
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as stock
from google.cloud.logging_v2.handlers import CloudLoggingFilter

from forklog import CloudLoggingHandler
from forklog.emulator.timestamps import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator

RESOURCE = {"type": "generic_task", "labels": {"project_id": "p", "job": "j"}}
LABELS = {"env": "test", "team": "blue"}
# A batch's own time and the log's name differ by nature, the insertId by design.
_OWN = ("insertId", "receiveTimestamp", "logName", "timestamp")
_TRACE = "0af7651916cd43dd8448eb211c80319c"

Case = tuple[int, Any, tuple[Any, ...], dict[str, Any]]


def _case(msg: Any, *args: Any, level: int = logging.INFO, **extra: Any) -> Case:
    return level, msg, args, extra


class Own(str):
    """A message class that an application derived from str."""

    __slots__ = ()


CORPUS: list[Case] = [
    *(_case(f"level {level}", level=level) for level in (10, 20, 30, 40, 50)),
    _case("%s did %d things in %.3f s", "alice", 12, 0.123),
    _case("%(name)s", {"name": "by name"}),
    _case("100 %"),
    *map(_case, ("", None, "None", "None of it", 42, ["a", 1])),
    _case(Own("own")),
    _case(ValueError("as a message")),
    _case("äöü € 😀 \u2028 \x01 \x1b[31m"),
    _case('quote " backslash \\ slash / <tag> & ünï'),
    _case("x" * 100_000),
    _case("two\nlines\r\n\ttabbed"),
    _case({"message": "mapping", "n": 1, "f": 1.5, "b": True, "none": None, "l": [1, {"a": []}]}),
    _case({}),
    _case(collections.OrderedDict(z=1, a=2)),
    _case({"a": 1}, json_fields={"b": 2, "a": 3}),
    _case('{"parsed": {"n": 1, "none": null, "deep": [[1]]}}'),
    _case("{}"),
    _case("{}", json_fields={"a": 1}),
    _case('{"a": %d}', 5),
    *map(_case, ("{broken", '{"a": 1} tail', "[1]", '"text"')),
    _case("fields", json_fields={"a": 1, "nested": {"b": [1, 2]}}),
    _case("fields", json_fields={"message": "replaced"}),
    _case("None", json_fields={"a": 1}),
    _case('{"j": 1}', json_fields={"a": 1}),
    *(_case("no fields", json_fields=fields) for fields in ({}, None, "text")),
    _case("labels", labels={"a": "b", "env": "own"}),
    _case("labels", labels={"python_logger": "mine"}),
    _case("labels", labels={}),
    _case("trace", trace=f"projects/p/traces/{_TRACE}", span_id="000000000000000a"),
    _case("trace", trace="", span_id="", trace_sampled=False),
    _case("trace", trace="t", trace_sampled=True),
    _case("request", http_request={"requestMethod": "GET", "status": 404, "latency": "0.5s"}),
    _case("request", http_request={"request_url": "/x", "response_size": "10", "cacheHit": True}),
    _case("request", http_request={}),
    _case("source", source_location={"file": "f", "line": 5, "function": "g"}),
    _case("source", source_location={"file": "f"}),
    _case("source", source_location=None),
    _case("resource", resource=stock.Resource(type="gce_instance", labels={"zone": "z"})),
    _case("none of ours", user="u", request=object()),
    _case(
        "all",
        labels={"a": "b"},
        trace="t",
        span_id="000000000000000a",
        trace_sampled=True,
        http_request={"requestMethod": "GET"},
        source_location={"file": "f", "line": 5, "function": "g"},
        json_fields={"n": 1},
    ),
]


class Pair:
    """A logger whose records go to both handlers."""

    def __init__(self, emulator: Emulator, *, stock_first: bool) -> None:
        """Point both handlers at the emulator."""
        self._emulator = emulator
        self._client = client = stock.Client(
            project="p",
            credentials=AnonymousCredentials(),
            _use_grpc=False,
            client_options={"api_endpoint": emulator.url},
        )
        resource = stock.Resource(**RESOURCE)
        self.handlers: list[logging.Handler] = [
            CloudLoggingHandler(client, name="ours", labels=LABELS, resource=resource),
            stock.handlers.CloudLoggingHandler(
                client, name="stock", labels=LABELS, resource=resource
            ),
        ]
        self.logger = logging.Logger("parity", logging.DEBUG)  # noqa: LOG001 - leaves no trace
        for handler in reversed(self.handlers) if stock_first else self.handlers:
            self.logger.addHandler(handler)

    def entries(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what forklog and the stock handler have delivered, each in order."""
        for handler in self.handlers:
            handler.flush()
        ours, theirs = (
            self._emulator.entries(f'logName="projects/p/logs/{name}"')
            for name in ("ours", "stock")
        )
        return ours, theirs

    def close(self) -> None:
        """End both handlers and the stock one's session."""
        for handler in self.handlers:
            handler.close()
        self._client._http.close()


@pytest.fixture(params=[False, True], ids=["ours first", "stock first"])
def pair(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Return both handlers, in either order."""
    both = Pair(emulator, stock_first=request.param)
    yield both
    both.close()


def _check_equal(pair: Pair, number: int) -> None:
    ours, theirs = pair.entries()
    assert len(ours) == len(theirs) == number
    for own, other in zip(ours, theirs, strict=True):
        assert abs(parse(own["timestamp"]) - parse(other["timestamp"])) <= 1000
        for entry in (own, other):
            for name in _OWN:
                del entry[name]
        assert own == other


def test_the_corpus_leaves_the_same_entries(pair: Pair) -> None:
    """Every record of the corpus makes equal entries, field by field."""
    for level, msg, args, extra in CORPUS:
        pair.logger.log(level, msg, *args, extra=extra)
    _check_equal(pair, len(CORPUS))


def test_exceptions_and_stacks_are_the_same(pair: Pair) -> None:
    """Exception and stack texts are equal."""
    try:
        raise KeyError("missing")
    except KeyError:
        pair.logger.exception("failed %s", "here")
        pair.logger.info("quiet", exc_info=True, stack_info=True)
        pair.logger.info({"mapping": 1}, exc_info=True)
        pair.logger.info("fields", exc_info=True, extra={"json_fields": {"a": 1}})
    pair.logger.info("outside", exc_info=True)  # noqa: LOG014 - that is the case
    pair.logger.warning("stack", stack_info=True)
    _check_equal(pair, 6)


if sys.version_info >= (3, 11):

    def test_exception_groups_are_the_same(pair: Pair) -> None:
        """The text of an exception group is equal."""
        try:
            raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])  # noqa: F821 - from 3.11 on
        except ExceptionGroup:  # noqa: F821 - from 3.11 on
            pair.logger.exception("failed")
        _check_equal(pair, 1)


@pytest.mark.parametrize("form", ["%(levelname)s:%(name)s:%(message)s", '{"text": "%(message)s"}'])
def test_a_formatter_is_used_the_same_way(pair: Pair, form: str) -> None:
    """A formatter of the user's makes equal payloads."""
    for handler in pair.handlers:
        handler.setFormatter(logging.Formatter(form))
    pair.logger.info("hello %s", "you")
    pair.logger.info({"mapping": 1})
    _check_equal(pair, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01", "User-Agent": "agent"},
        {"X-Cloud-Trace-Context": f"{_TRACE}/10;o=1", "User-Agent": "agent"},
        {"X-Cloud-Trace-Context": f"{_TRACE}/abc;o=1", "User-Agent": "agent"},
    ],
)
def test_a_flask_request_is_found_the_same_way(pair: Pair, headers: dict[str, str]) -> None:
    """Trace, span, sampling and request of a Flask request are equal."""
    with flask.Flask("app").test_request_context("/path?q=1", method="POST", headers=headers):
        pair.logger.info("in a request")
        pair.logger.info("in a request", extra={"trace": "t", "http_request": {"status": 1}})
    pair.logger.info("after it")
    _check_equal(pair, 3)


def test_googles_filter_on_the_logger_changes_nothing(pair: Pair) -> None:
    """With google's CloudLoggingFilter in front, the entries are equal too."""
    pair.logger.addFilter(CloudLoggingFilter(project="p", default_labels=LABELS))
    pair.logger.info("plain")
    pair.logger.info("labels", extra={"labels": {"a": "b"}, "trace": "t"})
    _check_equal(pair, 2)


def test_a_custom_level_is_a_documented_difference(pair: Pair) -> None:
    """A custom level is the nearest lower severity here, and a bare number there."""
    pair.logger.log(25, "custom")
    (ours,), (theirs,) = pair.entries()
    assert ours["severity"] == "INFO"
    assert theirs["severity"] == 25


def test_what_the_stock_handler_loses_arrives(emulator: Emulator) -> None:
    """Values for which the stock handler loses a batch arrive, and so does what is near them."""
    both = Pair(emulator, stock_first=False)
    try:
        both.logger.info("before")
        both.logger.info({"nan": float("nan"), "bytes": b"b", "set": {1}})
        both.logger.info("after", extra={"labels": {"n": 1}, "span_id": "short"})
        ours, theirs = both.entries()
    finally:
        both.close()
    assert [entry.get("jsonPayload", entry.get("textPayload")) for entry in ours] == [
        "before", {"nan": "NaN", "bytes": "b", "set": [1]}, "after",
    ]  # fmt: skip
    assert len(theirs) < 3
