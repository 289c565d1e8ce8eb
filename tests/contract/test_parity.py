"""The stock handler and forklog, given the same records, leave the same entries in the emulator.

Deliberate differences are the rows of `differences`, each with its reason, as `docs/entries.md` has
them. One that is not there fails here, and so does one that is gone.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import flask
import google.api_core.exceptions
import google.cloud.logging_v2
import pytest
from corpus import CASES, Case
from differences import DIFFERENCES
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as stock
from google.cloud.logging_v2.handlers import CloudLoggingFilter, _helpers, _monitored_resources
from google.cloud.logging_v2.handlers.middleware.request import RequestMiddleware
from google.cloud.logging_v2.handlers.transports import BackgroundThreadTransport, SyncTransport
from hypothesis import example, given
from hypothesis import strategies as st

from forklog import CloudLoggingHandler, OptionError
from forklog.context.headers import parse_headers
from forklog.emulator.timestamps import parse
from forklog.transports.google.resource import detect_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator.process import Emulator

RESOURCE = {"type": "generic_task", "labels": {"project_id": "p", "job": "j"}}
LABELS = {"env": "test", "team": "blue"}
# A batch's own time and the log's name differ by nature, the insertId by design.
_OWN = ("insertId", "receiveTimestamp", "logName", "timestamp")
_TRACE = "0af7651916cd43dd8448eb211c80319c"

Plain = tuple[int, Any, tuple[Any, ...], dict[str, Any]]


def _case(msg: Any, *args: Any, level: int = logging.INFO, **extra: Any) -> Plain:
    return level, msg, args, extra


class Own(str):
    """A message class that an application derived from str."""

    __slots__ = ()


CORPUS: list[Plain] = [
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
    *(_case("no fields", json_fields=fields) for fields in ({}, None)),
    _case("labels", labels={"a": "b", "env": "own"}),
    _case("labels", labels={"python_logger": "mine"}),
    _case("labels", labels={}),
    _case("trace", trace=f"projects/p/traces/{_TRACE}", span_id="000000000000000a"),
    _case("trace", trace="", span_id="", trace_sampled=False),
    _case("trace", trace="not a trace", span_id="456"),
    _case("trace", trace="t", trace_sampled=True),
    _case("request", http_request={"requestMethod": "GET", "status": 404, "latency": "0.5s"}),
    _case("request", http_request={"request_url": "/x", "response_size": "10", "cacheHit": True}),
    _case("request", http_request={}),
    _case("source", source_location={"file": "f", "line": 5, "function": "g"}),
    _case("source", source_location={"file": "f"}),
    _case("source", source_location={"function": "g", "line": 0}),
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

    def __init__(
        self,
        emulator: Emulator,
        *,
        stock_first: bool = False,
        transport: Any = BackgroundThreadTransport,
        resource: dict[str, Any] = RESOURCE,
        labels: dict[str, str] = LABELS,
    ) -> None:
        """Point both handlers at the emulator."""
        self._emulator = emulator
        self.has_times = transport is BackgroundThreadTransport
        self._client = client = stock.Client(
            project="p",
            credentials=AnonymousCredentials(),
            _use_grpc=False,
            client_options={"api_endpoint": emulator.url},
        )
        given = {"labels": labels, "resource": stock.Resource(**resource)}
        self.handlers: list[logging.Handler] = [
            CloudLoggingHandler(client, name="ours", **given),
            stock.handlers.CloudLoggingHandler(client, name="stock", transport=transport, **given),
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


@pytest.fixture
def make_pair(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pair]]:
    """Return a function that makes a pair of handlers; closed after the test."""
    monkeypatch.setattr(google.cloud.logging_v2, "_instrumentation_emitted", True)
    made: list[Pair] = []

    def make(**options: Any) -> Pair:
        made.append(Pair(emulator, **options))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


@pytest.fixture(
    params=[(False, BackgroundThreadTransport), (True, BackgroundThreadTransport),
            (False, SyncTransport)],
    ids=["ours first", "stock first", "synchronous"],
)  # fmt: skip
def pair(make_pair: Callable[..., Pair], request: pytest.FixtureRequest) -> Pair:
    """Return both handlers, in either order, the stock one with either of its transports."""
    stock_first, transport = request.param
    return make_pair(stock_first=stock_first, transport=transport)


def _check_equal(pair: Pair, number: int) -> None:
    ours, theirs = pair.entries()
    assert len(ours) == len(theirs) == number
    for own, other in zip(ours, theirs, strict=True):
        if pair.has_times:
            assert abs(parse(own["timestamp"]) - parse(other["timestamp"])) <= 1000
        assert re.fullmatch("[0-9a-f]{29}", own["insertId"])
        assert own["insertId"] != other["insertId"]
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


def _in_django(log: Callable[[], None], headers: dict[str, str]) -> None:
    from django.conf import settings  # noqa: PLC0415 - only this test has Django
    from django.test import RequestFactory  # noqa: PLC0415

    with contextlib.suppress(RuntimeError):  # the second time
        settings.configure(ALLOWED_HOSTS=["testserver"], SECRET_KEY="x")  # noqa: S106
    request = RequestFactory().post("/path?q=1", headers=headers)
    try:
        RequestMiddleware(lambda _request: log())(request)
    finally:
        RequestMiddleware(None)(None)


def _in_flask(log: Callable[[], None], headers: dict[str, str]) -> None:
    with flask.Flask("app").test_request_context("/path?q=1", method="POST", headers=headers):
        log()


def _in_a_span(log: Callable[[], None], headers: dict[str, str]) -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - only this test has spans

    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("t").start_as_current_span("s"):
        _in_flask(log, headers)


@pytest.mark.parametrize("where", [_in_django, _in_flask, _in_a_span])
@pytest.mark.parametrize("filtered", ["nothing", "logger", "handler"])
def test_tasks_and_googles_filter(
    make_pair: Callable[..., Pair], where: Callable[..., None], filtered: str
) -> None:
    """In requests and in a span, with google's filter in front or without, all is equal."""
    pair = make_pair()
    if filtered != "nothing":
        front = CloudLoggingFilter(project="p", default_labels=LABELS)
        for target in [pair.logger] if filtered == "logger" else pair.handlers:
            target.addFilter(front)

    def log() -> None:
        pair.logger.info("in a task")
        own = {"trace": "t", "span_id": "00000000000000ff", "http_request": {"status": 1}}
        pair.logger.info("with its own", extra={**own, "labels": {"a": "b"}})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Django, on an old Python
        where(log, {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01", "User-Agent": "agent"})
    pair.logger.info("outside")
    ours, _ = pair.entries()
    assert ours[0]["trace"].startswith("projects/p/traces/")
    assert ours[0]["httpRequest"]["requestMethod"] == "POST"
    assert "trace" not in ours[2]
    _check_equal(pair, 3)


# -- differences -----------------------------------------------------------------------------


_ENDLESS = {case for row in DIFFERENCES if row.outcome == "endless" for case in row.cases}
# The largest are refused like the large, only later.
_COMPARED = [
    case
    for case in CASES
    if case.name not in _ENDLESS and "10 MB" not in case.name and "million" not in case.name
]


_DEEP = {
    "arguments: a deep argument": "",
    "value: depth 10,000 of dicts": "refused",
    "value: depth 10,000 of lists": "refused",
}


@pytest.fixture(scope="module")
def outcomes(running_emulator: Emulator) -> dict[str, str]:
    """Log each odd record with either handler, and see what the stock one's entry differs in."""
    running_emulator.clear_faults()
    running_emulator.reset()
    google.cloud.logging_v2._instrumentation_emitted = True
    pair = Pair(running_emulator, transport=SyncTransport, labels={})
    loggers = []
    for handler in pair.handlers:
        loggers.append(logging.Logger("corpus", -100))  # noqa: LOG001 - leaves no trace
        loggers[-1].addHandler(handler)
    try:
        failed = {case.name: _log_with_both(loggers, case) for case in _COMPARED}
        ours, theirs = map(_by_case, pair.entries())
    finally:
        pair.close()
    return {name: failed[name] or _difference(ours[name], theirs[name]) for name in failed}


def _log_with_both(loggers: list[logging.Logger], case: Case) -> str:
    outcome = ""
    for logger in loggers:
        try:
            case.log(logger)
        except google.api_core.exceptions.GoogleAPICallError:
            outcome = "refused"
        except Exception:  # noqa: BLE001 - the stock handler raises into the application
            outcome = "raises"
        logger.info("end of %s", case.name)
    return outcome


def _by_case(entries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    group: list[dict[str, Any]] = []
    # The stock handler sends none, and the server's own grow from entry to entry.
    for entry in sorted(entries, key=lambda entry: str(entry["insertId"])):
        text = entry.get("textPayload", "")
        if text.startswith("end of "):
            found[text.removeprefix("end of ")] = group
            group = []
        else:
            group.append(entry)
    return found


def _difference(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    (own,), (other,) = ours, theirs
    names = (own.keys() | other.keys()) - set(_OWN)
    return ",".join(sorted(name for name in names if own.get(name) != other.get(name)))


@pytest.mark.parametrize("case", _COMPARED, ids=[case.name for case in _COMPARED])
def test_an_odd_record_differs_only_as_documented(outcomes: dict[str, str], case: Case) -> None:
    """Each record of the corpus has the stock handler's entry, or the difference of its row."""
    rows = [row for row in DIFFERENCES if case.name in row.cases]
    assert len(rows) <= 1
    wanted = {rows[0].outcome if rows else ""}
    if sys.version_info >= (3, 14):  # how deep C may go depends on the size of the thread's stack
        wanted.add(_DEEP.get(case.name, *wanted))
    assert outcomes[case.name] in wanted


def test_each_difference_is_shown_and_documented() -> None:
    """The table of the documentation is that of the tests, and each of its rows has its proof."""
    lines = (Path(__file__).parents[2] / "docs" / "entries.md").read_text().splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
    start = rows.index(("what", "stock", "forklog", "why")) + 2
    written = rows[start : start + len(DIFFERENCES) + 1]
    assert written == [(d.what, d.stock, d.forklog, d.reason) for d in DIFFERENCES] + [("",)]
    names = {case.name for case in CASES}
    newer = {"exception: a group", "exception: hostile notes"}  # from Python 3.11 on
    for row in DIFFERENCES:
        assert row.cases <= names | newer
        assert row.cases or row.shown_by in globals()


@pytest.mark.parametrize("created", [float("nan"), -1e15, 4e9])
def test_wrong_times_are_a_difference(
    make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, created: float
) -> None:
    """A nonsense time raises in the stock handler, or costs its batch; here it is set to now."""
    pair = make_pair()
    complaints = logging.getLogger(BackgroundThreadTransport.__module__)
    monkeypatch.setattr(complaints, "disabled", True)  # they would keep its connection alive
    record = logging.LogRecord("parity", logging.INFO, "/f.py", 1, "m", None, None, "f")
    record.created = created
    with contextlib.suppress(ValueError, OverflowError):
        for handler in pair.handlers:
            handler.handle(record)
    (ours,), theirs = pair.entries()
    assert ours["labels"]["forklog_repaired"] == "timestamp"
    assert theirs == []


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a task of a Cloud Run job; the stock handler keeps what it once read."""
    for name in ("JOB", "EXECUTION", "TASK_INDEX", "TASK_ATTEMPT"):
        monkeypatch.setenv(f"CLOUD_RUN_{name}", f"{name.lower()}-7")
    _monitored_resources._get_environmental_labels.cache_clear()
    yield
    _monitored_resources._get_environmental_labels.cache_clear()


_JOB = {"type": "cloud_run_job", "labels": {"job_name": "j"}}


@pytest.mark.usefixtures("environment")
def test_the_labels_of_a_cloud_run_job(make_pair: Callable[..., Pair]) -> None:
    """A job's entries have its labels; the resource of an entry does not change them."""
    pair = make_pair(resource=_JOB)
    pair.logger.info("plain")
    pair.logger.info("m", extra={"labels": {"run.googleapis.com/task_index": "own"}})
    _check_equal(pair, 2)
    pair.logger.info("m", extra={"resource": stock.Resource(**RESOURCE)})
    ours, theirs = pair.entries()
    assert ours[2]["labels"]["run.googleapis.com/execution_name"] == "execution-7"
    assert "run.googleapis.com/execution_name" not in theirs[2]["labels"]


@pytest.mark.usefixtures("environment")
def test_the_environment_alone_names_a_job(emulator: Emulator) -> None:
    """Without resource= the environment tells what Google's pages expect of an entry."""
    handler = CloudLoggingHandler(project="p", endpoint=emulator.url)
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert handler.flush()
    handler.close()
    (entry,) = emulator.entries()
    assert entry["labels"]["run.googleapis.com/task_attempt"] == "task_attempt-7"


@pytest.mark.usefixtures("environment")
def test_the_trace_label_of_app_engine(make_pair: Callable[..., Pair]) -> None:
    """On App Engine the trace is a label too, of its own entry only."""
    pair = make_pair(resource={"type": "gae_app", "labels": {"module_id": "m"}})
    trace, label = f"projects/p/traces/{_TRACE}", "appengine.googleapis.com/trace_id"
    pair.logger.info("before")
    pair.logger.info("traced", extra={"trace": trace})
    pair.logger.info("own label", extra={"trace": trace, "labels": {label: "own"}})
    _check_equal(pair, 3)
    pair.logger.info("after")
    pair.logger.info("elsewhere", extra={"trace": trace, "resource": stock.Resource(**RESOURCE)})
    ours, theirs = pair.entries()
    found = [entry["labels"].get(label) for entry in ours]
    assert found == [None, trace, "own", None, None]
    assert theirs[3]["labels"][label] == trace


def test_the_diagnostic_entry(
    make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stock handler adds an entry about the library to its first request; forklog does not."""
    pair = make_pair(transport=SyncTransport)
    monkeypatch.setattr(google.cloud.logging_v2, "_instrumentation_emitted", False)
    pair.logger.info("m")
    ours, theirs = pair.entries()
    assert [entry["textPayload"] for entry in ours] == ["m"]
    assert any("diagnostic" in str(entry.get("jsonPayload")) for entry in theirs)
    assert len(theirs) == 2


def test_the_handler_is_no_stream_handler(make_pair: Callable[..., Pair]) -> None:
    """The stock handler has a stream that it never writes to, and a filter of its own."""
    ours, theirs = make_pair().handlers
    assert isinstance(theirs, logging.StreamHandler)
    assert not isinstance(ours, logging.StreamHandler)
    assert not hasattr(ours, "stream")
    assert [type(f) for f in theirs.filters] == [CloudLoggingFilter]
    assert ours.filters == []


@pytest.mark.parametrize("kind", [SyncTransport, type("Own", (SyncTransport,), {})])
def test_other_transports_are_refused(kind: Any) -> None:
    """Another class of google's in transport= is refused at construction."""
    with pytest.raises(OptionError, match=r"transport=.*leave it out"):
        CloudLoggingHandler(project="p", transport=kind)


def test_a_metadata_server_that_names_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The label is empty with the stock handler, and here the project that entries go to."""
    read = {"instance/id": "7", "instance/zone": "z"}.get
    for name in ("GAE_SERVICE", "K_SERVICE", "FUNCTION_NAME", "CLOUD_RUN_JOB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_monitored_resources, "retrieve_metadata_server", read)
    theirs, ours = _monitored_resources.detect_resource("p"), detect_resource("p", {}, read)
    assert (theirs.type, theirs.labels.pop("project_id")) == ("gce_instance", "")
    assert ours.pop("type") == "gce_instance"
    assert ours["labels"] == {"project_id": "p", **theirs.labels}


def test_what_is_changed_later_has_no_effect(make_pair: Callable[..., Pair]) -> None:
    """Labels and resource are those of the constructor; a transport's `send` is not called."""
    pair = make_pair(labels={"a": "1"})
    for handler in cast("list[Any]", pair.handlers):
        handler.labels["b"] = "2"
        handler.resource = stock.Resource("global", {})
    pair.logger.info("m")
    (ours,), (theirs,) = pair.entries()
    assert (ours["labels"].get("b"), theirs["labels"].get("b")) == (None, "2")
    assert (ours["resource"]["type"], theirs["resource"]["type"]) == ("generic_task", "global")
    own, other = (cast("Any", handler).transport for handler in pair.handlers)
    with mock.patch.object(own, "send") as ours_sent, mock.patch.object(other, "send") as sent:
        pair.logger.info("m")
    assert (ours_sent.call_count, sent.call_count) == (0, 1)


_HEADER = st.from_regex(r"\s?0[01]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?\s?", fullmatch=True)
_CLOUD = st.from_regex(r"[0-9a-f]{31,33}(/[0-9_a]{1,21})?(;o=[01x])?", fullmatch=True)
_ODD = st.text("0aF-/;o=1 ", max_size=30)


@given(traceparent=st.none() | _HEADER | _ODD, cloud=st.none() | _CLOUD | _ODD)
@example(f"00-{_TRACE}-b7ad6b7169203331-01", None)
@example(None, f"{_TRACE}/10;o=1")
def test_odd_trace_headers(traceparent: str | None, cloud: str | None) -> None:
    """Where forklog reads a trace, the stock handler reads the same; it reads every proper one."""
    trace, span, is_sampled = _helpers._parse_trace_parent(traceparent)
    if trace is None or parse_headers(traceparent, None)[0] is None:
        trace, span, is_sampled = _helpers._parse_xcloud_trace(cloud)
    found = parse_headers(traceparent, cloud)
    if found[0] is None:
        assert not re.fullmatch(r"(?!0{32})[0-9a-f]{32}(/\d+)?(;o=[01])?", cloud or "")
        assert not re.fullmatch(r"00-(?!0{32})\w{32}-(?!0{16})\w{16}-\w{2}", traceparent or "")
        return
    assert (found[0], found[2]) == (trace, is_sampled)
    assert found[1] == span or "_" in str(cloud)  # to int() 1_0 is a number
