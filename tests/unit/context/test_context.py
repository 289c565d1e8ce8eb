"""Trace and HTTP request of the task that logs."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import flask
import pytest
from google.cloud.logging_v2.handlers import CloudLoggingFilter
from google.cloud.logging_v2.handlers.middleware import request as django_middleware
from helpers import check_python
from opentelemetry import trace
from records import EncoderBench, record_of

from forklog.context.base import NOTHING, Context
from forklog.context.headers import parse_headers
from forklog.context.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("traceparent", "cloud", "expected"),
    [
        (PARENT, None, (TRACE, SPAN, True)),
        (PARENT[:-1] + "0", "other/1;o=1", (TRACE, SPAN, False)),
        (f"01-{TRACE}-{SPAN}-03-more", None, (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-03-more", None, (None, None, False)),
        (f"00-{TRACE}-{SPAN}-03-", f"{TRACE}/10", (TRACE, "000000000000000a", False)),
        (f"00-{TRACE}-{SPAN}-0\N{ARABIC-INDIC DIGIT ONE}", None, (None, None, False)),
        (f"00-{TRACE.upper()}-{SPAN}-01", None, (None, None, False)),
        (f"ff-{TRACE}-{SPAN}-01", None, (None, None, False)),
        (f"00-{'0' * 32}-{SPAN}-01", None, (None, None, False)),
        (f"00-{TRACE}-{'0' * 16}-01", None, (None, None, False)),
        ("nonsense", f"{TRACE}/10;o=1", (TRACE, "000000000000000a", True)),
        (None, f"{TRACE}/10;o=0", (TRACE, "000000000000000a", False)),
        (None, f"{TRACE}/10", (TRACE, "000000000000000a", False)),
        (None, f"{TRACE};o=1", (TRACE, None, True)),
        (None, f"{TRACE}/abc;o=1", (TRACE, None, True)),
        (None, f"{TRACE}/0", (TRACE, None, False)),
        (None, f"{TRACE}/{2**64}", (TRACE, None, False)),
        (None, f"{TRACE}/{'9' * 5000};o=1", (TRACE, None, True)),
        (None, f"{TRACE.upper()};o=1", (TRACE, None, True)),
        (None, "not a trace", (None, None, False)),
        (None, "not/1;o=1", (None, None, False)),
        (None, f"{TRACE}0/1;o=1", (None, None, False)),
        (None, f"{TRACE[1:]}/1;o=1", (None, None, False)),
        (None, f"{'0' * 32}/1;o=1", (None, None, False)),
        (None, f"{TRACE}/1;o=1 <script>", (None, None, False)),
        (None, "", (None, None, False)),
        (5, b"x", (None, None, False)),
    ],
)
def test_headers(traceparent: Any, cloud: Any, expected: tuple[Any, ...]) -> None:
    """A W3C header is read first, then Google's own; what is malformed is nothing."""
    assert parse_headers(traceparent, cloud) == expected


def test_outside_of_a_task_there_is_nothing() -> None:
    """Frameworks that are imported but idle leave plain records on the fast path."""
    context = Context(SOURCES)
    assert context.sources()
    assert context.current() is NOTHING
    short, full = EncoderBench().both(record_of())
    assert short == full
    assert "trace" not in short


@pytest.fixture
def flask_request() -> Iterator[None]:
    """Stand in a Flask request."""
    app = flask.Flask("app")
    headers = {"traceparent": PARENT, "User-Agent": "agent"}
    with app.test_request_context("/path?q=1", method="POST", headers=headers):
        yield


@pytest.mark.usefixtures("flask_request")
def test_a_flask_request_is_known() -> None:
    """A record in a Flask request has its trace, span and request."""
    entry = EncoderBench().one(record_of())
    assert entry["trace"] == f"projects/p/traces/{TRACE}"
    assert entry["spanId"] == SPAN
    assert entry["traceSampled"] is True
    assert entry["httpRequest"] == {
        "requestMethod": "POST",
        "requestUrl": "http://localhost/path?q=1",
        "userAgent": "agent",
        "protocol": "HTTP/1.1",
    }


def test_a_trace_header_that_is_put_in_later_is_seen() -> None:
    """Middleware of the application may name the trace after the first record of the request."""
    bench = EncoderBench()
    with flask.Flask("app").test_request_context("/path"):
        assert "trace" not in bench.one(record_of())
        flask.request.environ["HTTP_TRACEPARENT"] = PARENT
        assert bench.one(record_of())["trace"] == f"projects/p/traces/{TRACE}"


@pytest.mark.usefixtures("flask_request")
def test_extra_wins_over_the_request() -> None:
    """What extra= says replaces what is known of the task, None included."""
    entry = EncoderBench().one(
        record_of("m", trace="t", span_id=None, http_request={"status": 500})
    )
    assert entry["trace"] == "t"
    assert "spanId" not in entry
    assert entry["httpRequest"] == {"status": 500}


@pytest.mark.usefixtures("flask_request")
def test_a_trace_without_a_project_is_bare() -> None:
    """Before the project is known, a trace id is sent as it is."""
    assert EncoderBench(project=None).one(record_of())["trace"] == TRACE


@pytest.mark.usefixtures("flask_request")
def test_a_live_span_replaces_the_headers() -> None:
    """The trace of an OpenTelemetry span wins; the request stays."""
    live = trace.SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=trace.TraceFlags(0))
    with trace.use_span(trace.NonRecordingSpan(live)):
        entry = EncoderBench().one(record_of())
    assert entry["trace"] == f"projects/p/traces/{0xAB:032x}"
    assert entry["spanId"] == f"{0xCD:016x}"
    assert "traceSampled" not in entry
    assert entry["httpRequest"]["requestMethod"] == "POST"


def test_a_span_is_known_without_a_request() -> None:
    """A sampled OpenTelemetry span gives trace, span and sampling."""
    live = trace.SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(live)):
        entry = EncoderBench().one(record_of())
    assert entry["traceSampled"] is True
    assert "httpRequest" not in entry


class DjangoRequest:
    """What is read of a django.http.HttpRequest."""

    def __init__(self, *, is_allowed: bool = True) -> None:
        """Make a request, whose host may be one that Django refuses."""
        self._is_allowed = is_allowed
        self.META = {
            "REQUEST_METHOD": "PUT",
            "HTTP_USER_AGENT": "agent",
            "SERVER_PROTOCOL": "HTTP/2",
            "HTTP_X_CLOUD_TRACE_CONTEXT": f"{TRACE}/10;o=1",
        }

    def build_absolute_uri(self) -> str:
        """Return the URL, or raise as for DisallowedHost."""
        if not self._is_allowed:
            raise ValueError
        return "http://host/path"


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_request_that_googles_django_middleware_keeps_is_known(*, is_allowed: bool) -> None:
    """The request of google-cloud-logging's middleware gives trace and request."""
    django_middleware._thread_locals.request = DjangoRequest(is_allowed=is_allowed)
    try:
        entry = EncoderBench().one(record_of())
    finally:
        del django_middleware._thread_locals.request
    assert entry["trace"] == f"projects/p/traces/{TRACE}"
    assert entry["spanId"] == "000000000000000a"
    assert entry["httpRequest"]["requestMethod"] == "PUT"
    assert entry["httpRequest"].get("requestUrl") == ("http://host/path" if is_allowed else None)


@pytest.mark.usefixtures("flask_request")
def test_django_is_asked_before_flask() -> None:
    """Where both have a request, as in Django behind Flask's dispatcher, Django's counts.

    Closes: another request than the stock handler's.
    """
    django_middleware._thread_locals.request = DjangoRequest()
    try:
        entry = EncoderBench().one(record_of())
    finally:
        del django_middleware._thread_locals.request
    assert entry["httpRequest"]["requestMethod"] == "PUT"
    assert entry["spanId"] == "000000000000000a"


def test_a_framework_imported_later_is_noticed() -> None:
    """Sources are looked for again when modules were imported."""
    hidden = sys.modules.pop("flask")
    try:
        context = Context(SOURCES)
        before = context.sources()
    finally:
        sys.modules["flask"] = hidden
    assert len(context.sources()) == len(before) + 1


def test_a_half_imported_framework_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module without what is looked for costs nothing but its knowledge."""
    monkeypatch.setitem(sys.modules, "flask", ModuleType("flask"))
    assert Context(SOURCES).current() is NOTHING


@pytest.mark.usefixtures("flask_request")
def test_googles_filter_is_honoured() -> None:
    """What google's CloudLoggingFilter has found arrives, its default labels too."""
    record = record_of("m", labels={"own": "1"})
    assert CloudLoggingFilter(project="f", default_labels={"team": "t"}).filter(record)
    entry = EncoderBench(project=None).one(record)
    assert entry["trace"] == f"projects/f/traces/{TRACE}"
    assert entry["spanId"] == SPAN
    assert entry["traceSampled"] is True
    assert entry["httpRequest"]["userAgent"] == "agent"
    assert entry["labels"] == {"python_logger": "app", "team": "t", "own": "1"}
    assert entry["sourceLocation"] == {"file": "/srv/app.py", "line": "7", "function": "view"}


def test_a_shared_logger_name_outlasts_googles_filter() -> None:
    """A python_logger among the handler's labels is not replaced by the filter's."""
    record = record_of()
    assert CloudLoggingFilter().filter(record)
    assert EncoderBench({"python_logger": "mine"}).one(record)["labels"] == {
        "python_logger": "mine"
    }


def test_a_request_that_googles_django_middleware_keeps_is_forgotten() -> None:
    """What a thread logs after a Django request belongs to no request.

    Closes: records after the request had its trace and its URL, since nothing cleared them.
    """
    done = check_python("""
        import json, logging
        import django
        from django.conf import settings
        from django.http import HttpResponse
        from django.test import Client
        from django.urls import path
        import forklog
        from forklog.testing import FakeTransport
        wire = FakeTransport()
        def view(request):
            logging.warning("in")
            return HttpResponse("ok")
        urlpatterns = [path("", view)]
        google = "google.cloud.logging_v2.handlers.middleware.request.RequestMiddleware"
        settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=[google], ALLOWED_HOSTS=["*"])
        django.setup()
        handler = forklog.CloudLoggingHandler(transport=wire, project="p")
        logging.root.addHandler(handler)
        trace = "00-%s-%s-01" % ("a" * 32, "b" * 16)
        assert Client().get("/", headers={"traceparent": trace}).status_code == 200
        logging.warning("after")
        handler.flush(10)
        print(json.dumps([[e["textPayload"], "trace" in e, "httpRequest" in e]
                          for e in wire.entries]))
    """)
    assert json.loads(done.stdout) == [["in", True, True], ["after", False, False]]
