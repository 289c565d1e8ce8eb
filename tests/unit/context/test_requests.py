"""The middlewares without a server: what is odd, what is hostile, and the entry of a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import gevent
import pytest
from helpers import check_python

import forklog
from forklog.context.base import CURRENT
from forklog.context.requests import ACCESS_LOGS
from forklog.emulator.process import Emulator
from forklog.middleware import ASGIMiddleware, WSGIMiddleware
from forklog.testing import FakeTransport

Make = Callable[..., tuple[logging.Logger, forklog.CloudLoggingHandler]]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """Leave no scope behind; each test has to end its own requests."""
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


@pytest.fixture
def requests(make_logger: Make, forklog_transport: FakeTransport) -> Callable[..., Any]:
    """Return a function that gives the entries of requests so far, of a handler with options."""
    made: list[forklog.CloudLoggingHandler] = []

    def entries(**options: Any) -> list[dict[str, Any]]:
        if not made:
            made.append(make_logger(**{"access_log": True, **options})[1])
        assert made[0].flush(10)
        return [e for e in forklog_transport.entries if e.get("logName", "").endswith("-requests")]

    return entries


def _environ(**more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "shop.example",
        "SCRIPT_NAME": "/a",
        "PATH_INFO": "/b \xc3\xbc",
        "QUERY_STRING": "token=secret",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.9",
        "CONTENT_LENGTH": "12",
        **more,
    }


def _ask(
    app: Any, environ: dict[str, Any] | None = None, sent: list[bytes] | None = None
) -> list[bytes]:
    parts: list[bytes] = [] if sent is None else sent
    body = app(
        _environ() if environ is None else environ, lambda *_: None if sent is None else sent.append
    )
    try:
        parts.extend(part for part in body if part)
        return parts
    finally:
        if hasattr(body, "close"):
            body.close()


def _hello(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("201 Created", [("Content-Length", "5")])
    return [b"hello"]


def test_the_entry_of_a_request(requests: Callable[..., Any]) -> None:
    """It has all that is known, no query string, a trace of its own where the client sent none."""
    requests()
    assert _ask(WSGIMiddleware(_hello)) == [b"hello"]
    assert CURRENT.get() is None
    (entry,) = requests()
    assert entry["logName"] == "projects/p/logs/python-requests"
    assert entry["severity"] == "INFO"
    assert len(entry["trace"]) == len("projects/p/traces/") + 32
    latency = entry["httpRequest"].pop("latency")
    assert 0 <= float(latency.rstrip("s")) < 60
    assert entry["httpRequest"] == {
        "requestMethod": "POST",
        "requestUrl": "https://shop.example/a/b%20%C3%BC",
        "requestSize": "12",
        "status": 201,
        "responseSize": "5",
        "remoteIp": "10.0.0.9",
        "protocol": "HTTP/1.1",
    }


def test_the_query_string_is_there_where_it_is_asked_for(requests: Callable[..., Any]) -> None:
    """``access_log="query"`` keeps it, in the entry of the request alone."""
    requests(access_log="query")
    _ask(WSGIMiddleware(_hello))
    (entry,) = requests()
    assert entry["httpRequest"]["requestUrl"].endswith("?token=secret")


@pytest.mark.parametrize("body", [[], [b""], [b"x"], [b"", b"x", b"y"]], ids=str)
def test_a_body_without_a_status_is_a_500(requests: Callable[..., Any], body: Any) -> None:
    """The server fails where an application never calls ``start_response``.

    Closes: the entry had status 499 and severity WARNING, as if the client had gone.
    """
    requests()
    answer: Any = WSGIMiddleware(lambda *_: body)(_environ(), lambda *_: None)
    next(filter(None, answer), None)  # the server fails at the first bytes, or at the end
    answer.close()
    (entry,) = requests()
    assert (entry["httpRequest"]["status"], entry["severity"]) == (500, "ERROR")


@pytest.mark.parametrize(
    ("status", "severity"), [("200 OK", "INFO"), ("404 No", "WARNING"), ("503 No", "ERROR")]
)
def test_the_severity_of_a_status(requests: Callable[..., Any], status: str, severity: str) -> None:
    """4xx is at least a WARNING, 5xx at least an ERROR."""
    requests()
    _ask(WSGIMiddleware(lambda _, start: start(status, []) or [b""]))
    (entry,) = requests()
    assert entry["severity"] == severity


def test_an_exception_is_a_500_and_its_traceback_is_traced(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """What the server logs of an exception outside of us belongs to the request; the next not."""
    logger, handler = make_logger(access_log=True)

    def fail(_environ: Any, _start: Any) -> list[bytes]:
        raise ValueError("of the application")

    try:
        _ask(WSGIMiddleware(fail), _environ(HTTP_TRACEPARENT=f"00-{TRACE}-{'1' * 16}-01"))
    except ValueError:
        logger.exception("the server's")
        logger.info("later")
    assert handler.flush(10)
    parent, traceback, later = sorted(forklog_transport.entries, key=lambda e: e["insertId"])
    assert parent["httpRequest"]["status"] == 500
    assert parent["severity"] == "ERROR"
    assert traceback["trace"] == parent["trace"] == f"projects/p/traces/{TRACE}"
    assert "trace" not in later


class _BrokenError(Exception):
    """Of the application."""


def _breaking(environ: Any, start: Any) -> Iterator[bytes]:
    """Answer, and fail where the path says."""
    path = environ["PATH_INFO"]
    write = start("200 OK", [])
    if path == "/write":
        write(b"a")
    if path == "/call":
        raise _BrokenError
    return _breaking_body(path)


def _breaking_body(path: str) -> Iterator[bytes]:
    if path == "/second":
        yield b"a"
    yield b""
    raise _BrokenError


@pytest.mark.parametrize(
    ("path", "status"), [("/call", 500), ("/first", 500), ("/second", 200), ("/write", 200)]
)
def test_a_failure_after_the_status(requests: Callable[..., Any], path: str, status: int) -> None:
    """A server sends the status with the first bytes: a failure before is a 500; each an ERROR.

    Closes: the entry of a request had 200 and INFO where the client got a 500.
    """
    requests()
    sent: list[bytes] = []
    with pytest.raises(_BrokenError):
        _ask(WSGIMiddleware(_breaking), _environ(PATH_INFO=path), sent)
    (entry,) = requests()
    assert (entry["httpRequest"]["status"], entry["severity"]) == (status, "ERROR")
    assert bool(sent) == (status == 200)


@pytest.mark.parametrize(
    ("error", "status", "severity"),
    [(gevent.Timeout, 500, "ERROR"), (SystemExit, 499, "WARNING"),
     (gevent.GreenletExit, 499, "WARNING"), (asyncio.CancelledError, 499, "WARNING")],
)  # fmt: skip
def test_what_ends_a_request_is_no_failure(
    requests: Callable[..., Any], error: type[BaseException], status: int, severity: str
) -> None:
    """A timeout of gevent's is a failure, though no `Exception`; an end of the task is none."""
    requests()

    def app(_environ: Any, _start: Any) -> list[bytes]:
        raise error

    with pytest.raises(error):
        _ask(WSGIMiddleware(app))
    (entry,) = requests()
    assert (entry["httpRequest"]["status"], entry["severity"]) == (status, severity)


def test_a_status_that_comes_too_late(requests: Callable[..., Any]) -> None:
    """A second `start_response` that the server refuses, as bytes are sent, changes nothing."""
    requests()

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"a"
        start("500 No", [], (_BrokenError, _BrokenError(), None))

    def start(_status: str, _headers: Any, exc_info: Any = None) -> None:
        if exc_info:
            raise exc_info[1]

    body: Any = WSGIMiddleware(app)(_environ(), start)
    with pytest.raises(_BrokenError):
        list(body)
    body.close()
    (entry,) = requests()
    assert (entry["httpRequest"]["status"], entry["severity"]) == (200, "ERROR")


def test_pep_3333(requests: Callable[..., Any]) -> None:
    """The standard library's validator finds nothing wrong on either side of the middleware."""
    requests()
    environ: dict[str, Any] = {"QUERY_STRING": ""}
    from wsgiref.util import setup_testing_defaults  # noqa: PLC0415 - of this test alone

    setup_testing_defaults(environ)

    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"a"]

    assert _ask(validator(WSGIMiddleware(validator(app))), environ) == [b"a"]
    assert len(requests()) == 1


def test_a_body_of_one_part_keeps_its_length() -> None:
    """A server that sets Content-Length by the number of parts can do so."""
    body = WSGIMiddleware(_hello)(_environ(), lambda *_: None)
    assert len(body) == 1  # type: ignore[arg-type]
    body.close()  # type: ignore[attr-defined]


def test_a_file_is_still_the_servers(requests: Callable[..., Any]) -> None:
    """A ``wsgi.file_wrapper`` is given to the server as it is; its `close` ends the request."""
    import io  # noqa: PLC0415 - of this test alone

    requests()
    file = io.BytesIO(b"content")
    environ = _environ(**{"wsgi.file_wrapper": FileWrapper})
    app = WSGIMiddleware(lambda env, start: start("200 OK", []) or env["wsgi.file_wrapper"](file))
    body: Any = app(environ, lambda *_: None)
    assert type(body) is FileWrapper
    assert list(body) == [b"content"]
    assert not requests()
    body.close()
    assert file.closed
    assert len(requests()) == 1
    assert CURRENT.get() is None


def test_a_file_of_a_type_that_takes_no_close(requests: Callable[..., Any]) -> None:
    """Where `close` cannot be set the request ends at once, rather than never."""
    requests()

    class Sealed:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    environ = _environ(**{"wsgi.file_wrapper": Sealed})
    app = WSGIMiddleware(lambda _, start: start("200 OK", []) or Sealed())
    assert _ask(app, environ) == [b"x"]
    assert len(requests()) == 1
    assert CURRENT.get() is None


def test_two_middlewares_are_one_request(requests: Callable[..., Any]) -> None:
    """The inner one of two leaves the request to the outer one."""
    requests()
    _ask(WSGIMiddleware(WSGIMiddleware(_hello)))
    assert len(requests()) == 1


def test_a_client_that_goes_away(requests: Callable[..., Any]) -> None:
    """A request that is closed before any status has status 499."""
    requests()
    body: Any = WSGIMiddleware(lambda *_: [b"x"])(_environ(), lambda *_: None)
    body.close()
    body.close()
    (entry,) = requests()
    assert entry["httpRequest"]["status"] == 499


@pytest.mark.parametrize(
    ("forwarded", "header", "address"),
    [
        (True, "203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (True, "2001:db8::7", "2001:db8::7"),
        (True, "<script>", "10.0.0.9"),
        (False, "203.0.113.7", "10.0.0.9"),
    ],
)
def test_forwarded_addresses(
    requests: Callable[..., Any], header: str, address: str, *, forwarded: bool
) -> None:
    """The first forwarded address counts where it is trusted and is one, else the peer's."""
    requests()
    _ask(WSGIMiddleware(_hello, forwarded=forwarded), _environ(HTTP_X_FORWARDED_FOR=header))
    (entry,) = requests()
    assert entry["httpRequest"]["remoteIp"] == address


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PATH_INFO": "\u20ac"},
        {"HTTP_HOST": 5, "PATH_INFO": None},
        {"CONTENT_LENGTH": "x" * 99},
    ],
    ids=str,
)
def test_an_odd_environment(requests: Callable[..., Any], environ: dict[str, Any]) -> None:
    """Whatever a server gives, the request is answered and has an entry."""
    requests()
    assert _ask(WSGIMiddleware(_hello), environ) == [b"hello"]
    assert len(requests()) == 1


def test_a_status_that_is_none(requests: Callable[..., Any]) -> None:
    """An application that gives nonsense to ``start_response`` is the server's affair."""
    requests()
    _ask(WSGIMiddleware(lambda _, start: start(None, 5) or [b""]))
    assert len(requests()) == 1


def test_each_handler_with_the_option_writes_one(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Handlers without the option write none, nor does one that was closed."""
    made = [make_logger(access_log=wanted, log_name=name)[1]
            for wanted, name in ((True, "a"), (True, "b"), (False, "c"), (True, "d"))]  # fmt: skip
    made[3].close()
    _ask(WSGIMiddleware(_hello))
    assert all(handler.flush(10) for handler in made)
    logs = sorted(e["logName"].rpartition("/")[2] for e in forklog_transport.entries)
    assert logs == ["a-requests", "b-requests"]


def test_a_handler_that_is_gone_writes_none() -> None:
    """The option keeps no handler alive."""
    done = check_python("""
        import gc
        import forklog
        from forklog.context.requests import ACCESS_LOGS
        from forklog.testing import FakeTransport
        handler = forklog.CloudLoggingHandler(transport=FakeTransport(), access_log=True)
        assert len(ACCESS_LOGS.all()) == 1
        del handler
        gc.collect()
        assert ACCESS_LOGS.all() == []
    """)
    assert done.stderr == ""


def test_platforms_that_write_requests_themselves(
    make_logger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Cloud Run the option does nothing, so that no request is there twice."""
    for name in ("K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
        monkeypatch.setenv(name, "x")
    assert make_logger(access_log=True)[1]._requests not in ACCESS_LOGS.all()
    monkeypatch.delenv("K_SERVICE")
    assert make_logger(access_log=True)[1]._requests in ACCESS_LOGS.all()


def test_a_project_that_is_found_later(emulator: Emulator) -> None:
    """The first request of a process ends before its project is known; its entry arrives."""
    done = check_python(
        """
        import logging
        import forklog
        from forklog.middleware import WSGIMiddleware
        handler = forklog.CloudLoggingHandler(access_log=True)
        print(handler.project_id)
        body = WSGIMiddleware(lambda *_: [b""])({}, lambda *_: None)
        body.close()
        assert handler.flush(10)
        handler.close()
        """,
        env={"LOGGING_EMULATOR_HOST": emulator.host, "GOOGLE_CLOUD_PROJECT": ""},
    )
    (entry,) = emulator.entries()
    project = entry["logName"].split("/")[1]
    assert entry["logName"] == f"projects/{project}/logs/python-requests"
    assert project
    assert done.stdout.strip() == "None"


@pytest.mark.parametrize("value", ["yes", 1, 0, None, "Query"])
def test_a_wrong_access_log_is_refused(value: Any) -> None:
    """The option is true, false or "query"."""
    with pytest.raises(forklog.OptionError, match="access_log"):
        forklog.CloudLoggingHandler(access_log=value)


def test_a_log_name_that_leaves_no_room_is_refused() -> None:
    """The log of requests needs a few characters more."""
    with pytest.raises(forklog.OptionError, match="log_name"):
        forklog.CloudLoggingHandler(access_log=True, log_name="x" * 505)


# -- ASGI ------------------------------------------------------------------------------------


def _run_asgi(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(app(scope, receive, send))
    return sent


def _scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/a ü",
        "headers": [(b"host", b"shop.example"), (b"x-b3-traceid", TRACE.encode()),
                    (b"x-b3-spanid", b"1" * 16)],
        "query_string": b"a=b",
        "client": ("10.0.0.9", 5),
        "scheme": "https",
        "http_version": "2",
        **more,
    }  # fmt: skip


async def _hello_asgi(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"Content-Length", b"5")]})  # fmt: skip
    await send({"type": "http.response.body", "body": b"hello"})


def test_an_asgi_request(requests: Callable[..., Any]) -> None:
    """The entry of an ASGI request has what that of a WSGI request has."""
    requests()
    assert len(_run_asgi(ASGIMiddleware(ASGIMiddleware(_hello_asgi)), _scope())) == 2
    (entry,) = requests()
    del entry["httpRequest"]["latency"]
    assert entry["trace"].endswith(TRACE)
    assert entry["spanId"] == "1" * 16
    assert entry["httpRequest"] == {
        "requestMethod": "GET",
        "requestUrl": "https://shop.example/a%20%C3%BC",
        "status": 200,
        "responseSize": "5",
        "remoteIp": "10.0.0.9",
        "protocol": "HTTP/2",
    }


@pytest.mark.parametrize(
    ("kind", "status", "severity"),
    [("before", 500, "ERROR"), ("after", 200, "ERROR"), ("none", 500, "ERROR"),
     ("gone", 499, "WARNING")],
)  # fmt: skip
def test_an_asgi_request_that_fails(
    requests: Callable[..., Any], kind: str, status: int, severity: str
) -> None:
    """A failure after the status is an ERROR; no answer is a 500, unless the client went away."""
    requests()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        if kind == "gone":
            await receive()
        if kind == "after":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if kind in ("before", "after"):
            raise ValueError

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    with contextlib.suppress(ValueError):
        asyncio.run(ASGIMiddleware(app)(_scope(), receive, send))
    (entry,) = requests()
    assert (entry["httpRequest"]["status"], entry["severity"]) == (status, severity)


def test_what_is_no_request_is_passed_on(requests: Callable[..., Any]) -> None:
    """The lifespan has no scope; a websocket has one, and no entry of its own."""
    requests()
    seen: list[object] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append((scope["type"], CURRENT.get() is not None))

    _run_asgi(ASGIMiddleware(app), {"type": "lifespan"})
    _run_asgi(ASGIMiddleware(app), _scope(type="websocket", scheme="wss"))
    assert seen == [("lifespan", False), ("websocket", True)]
    assert not requests()


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http"},
        {"type": "http", "headers": [(b"host", 5)], "client": None},
        {"type": "http", "headers": None, "path": "/", "server": ("unix", None)},
    ],
    ids=str,
)
def test_an_odd_asgi_scope(requests: Callable[..., Any], scope: dict[str, Any]) -> None:
    """Whatever a server gives, the request is answered and has an entry."""
    requests()
    assert _run_asgi(ASGIMiddleware(_hello_asgi), scope)
    assert len(requests()) == 1


def test_process_labels_are_those_of_each_process() -> None:
    """A forked child's entries have the child's number, by every encoder; the parent's its own."""
    done = check_python("""
        import json, logging, os
        import forklog
        from forklog.testing import FakeTransport
        wire = FakeTransport()
        handler = forklog.CloudLoggingHandler(transport=wire, project="p", process_labels=True,
                                              labels={"host": "mine"})
        logger = logging.getLogger()
        logger.addHandler(handler)
        def log():
            for _ in range(2):
                logger.warning("plain")
            logger.warning("strict", extra={"labels": {"a": "b"}})
            logger.warning('{"lenient": true}')
        log()
        child = os.fork()
        if not child:
            log()
            handler.flush(10)
            os._exit(0)
        os.waitpid(child, 0)
        log()
        handler.flush(10)
        found = [(sent.pid, e["labels"]) for sent in wire.sent for e in sent.stored]
        assert {labels["process_id"] == str(pid) for pid, labels in found} == {True}
        assert {labels["process_name"] for _, labels in found} == {"MainProcess"}
        assert not [labels for _, labels in found if "host" in labels]
        print(json.dumps(len(found)))
    """)
    assert json.loads(done.stdout) == 12
