"""A request that is answered within another one, or within a task: each record has its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from helpers import check_python

import forklog
from forklog.context.base import CURRENT, LogContext
from forklog.context.scope import begin, end
from forklog.middleware import ASGIMiddleware, WSGIMiddleware

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture(autouse=True)
def _own_context() -> Any:
    """Leave no scope behind, whatever a test does."""
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


def _known() -> tuple[str | None, dict[str, Any]] | None:
    """Return the trace and the bound fields that a record would have now."""
    scope = CURRENT.get()
    return None if scope is None else (scope.known().trace, dict(scope.known().fields or {}))


def _call(trace: str, app: Callable[[], Any]) -> Any:
    """Have a WSGI application answer a request; return the body."""

    def answer(_environ: Any, start: Callable[..., Any]) -> Any:
        start("200 OK", [])
        return app()

    environ = {"HTTP_TRACEPARENT": f"00-{trace}-{'1' * 16}-01"}
    return WSGIMiddleware(answer)(environ, lambda *_: None)


def _fail() -> Any:
    raise ValueError


def _bound(**fields: Any) -> list[bytes]:
    forklog.bind(**fields)
    return [b""]


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("outer", ["request", "task"])
def test_a_request_within_another_one(outer: str, *, is_closed: bool) -> None:
    """After it the outer request, or the task, has its own context; whether it is closed or not.

    Closes: an application that calls another one had no context on its later records.
    """

    def app() -> list[bytes]:
        forklog.bind(user=7)
        body = _call(B, lambda: _bound(inner=1))
        assert _known() == (A, {"user": 7})
        assert list(body) == [b""]
        assert _known() == (A, {"user": 7})
        if is_closed:
            body.close()
        with contextlib.suppress(ValueError):
            _call(B, _fail)
        assert _known() == (A, {"user": 7})
        return [b""]

    if outer == "request":
        _call(A, app).close()
    else:
        task = begin(LogContext(A))
        app()
        end(task)
    assert _known() is None


def test_a_request_while_the_outer_one_streams() -> None:
    """Each part of each body is made in its own request, blocks included."""
    seen = []

    def inner() -> Iterator[bytes]:
        with forklog.bound(part=1):
            seen.append(_known())
            yield b"1"
            seen.append(_known())
        yield b"2"
        seen.append(_known())

    def outer() -> Iterator[bytes]:
        forklog.bind(user=7)
        body = _call(B, inner)
        for part in body:
            seen.append(_known())
            yield part
        body.close()
        seen.append(_known())

    body = _call(A, outer)
    for _ in body:
        assert _known() == (A, {"user": 7})
    own = (A, {"user": 7})
    assert seen == [(B, {"part": 1}), own, (B, {"part": 1}), own, (B, {}), own]
    body.close()
    assert _known() is None


def test_a_body_that_is_closed_late() -> None:
    """The `close` of a body within another request runs in its own; nothing is left after it."""
    seen = []

    class Body(list[bytes]):
        def close(self) -> None:
            seen.append(_known())

    def app() -> list[bytes]:
        left.append(_call(B, Body))
        return [b""]

    left: list[Any] = []
    body = _call(A, app)
    body.close()
    assert _known() is None
    for _ in range(2):
        left[0].close()
        assert _known() is None
    assert seen == [(B, {}), None]


@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_request_that_is_never_closed_does_not_come_back(parts: int) -> None:
    """Its code has returned, or its body waits to be asked: the next request is not within it."""
    body = iter(_call(A, lambda: iter([b"1", b"2", b"3"])))
    for _ in range(parts):
        next(body, None)
    second = _call(C, lambda: [b""])
    assert _known() == (C, {})  # for the server's own records
    second.close()
    assert _known() is None


def test_a_body_that_fails_and_is_never_closed() -> None:
    """The next request is not within it either."""

    def failing() -> Iterator[bytes]:
        yield b"1"
        raise OSError("no part")

    with pytest.raises(OSError, match="no part"):
        list(_call(A, failing))
    _call(C, lambda: [b""]).close()
    assert _known() is None


def _scope(trace: str) -> dict[str, Any]:
    header = (b"traceparent", f"00-{trace}-{'1' * 16}-01".encode())
    return {"type": "http", "path": "/", "headers": [header]}


async def _ask(trace: str, app: Callable[[], Awaitable[None]]) -> None:
    async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
        await app()

    async def nothing(*_message: Any) -> dict[str, Any]:
        return {}

    await ASGIMiddleware(answer)(_scope(trace), nothing, nothing)


@pytest.mark.parametrize("error", [None, ValueError, asyncio.CancelledError], ids=str)
@pytest.mark.parametrize("outer", ["request", "task"])
def test_an_asgi_request_within_another_one(outer: str, error: type[BaseException] | None) -> None:
    """After it the outer one has its own context, also if the inner one has failed.

    Closes: the later records had none, and those after a failure had the inner request's.
    """

    async def inner() -> None:
        assert _known() == (B, {})
        if error:
            raise error

    async def app() -> None:
        forklog.bind(user=7)
        for _ in range(2):
            with contextlib.suppress(*([error] if error else [])):
                await _ask(B, inner)
            assert _known() == (A, {"user": 7})
        await asyncio.create_task(_ask(B, _nothing))
        assert _known() == (A, {"user": 7})

    async def main() -> None:
        if outer == "request":
            await _ask(A, app)
        else:
            task = begin(LogContext(A))
            await app()
            end(task)
        assert _known() is None

    asyncio.run(main())


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("fields", [{}, {"app": "shop"}], ids=str)
def test_a_failed_request_stays_for_its_server(fields: dict[str, Any]) -> None:
    """The outermost one does, whatever fields the server's own thread has bound."""

    async def fail() -> None:
        raise ValueError

    async def main() -> None:
        forklog.bind(**fields)
        for trace in (A, B):
            with contextlib.suppress(ValueError):
                await _ask(trace, fail)
            assert _known() == (trace, {})

    asyncio.run(main())


def test_a_failure_through_two_requests() -> None:
    """An exception that leaves both leaves the outer one current, and belongs to it."""

    async def fail() -> None:
        raise ValueError

    async def app() -> None:
        await _ask(B, fail)

    async def main() -> None:
        with contextlib.suppress(ValueError):
            await _ask(A, app)
        assert _known() == (A, {})

    asyncio.run(main())


def test_a_django_request_within_another_one() -> None:
    """Django's test client in a view, sync and async, leaves the view its own context."""
    done = check_python("""
        import asyncio, logging
        import django
        from django.conf import settings
        from django.core.handlers.asgi import ASGIHandler
        from django.http import HttpResponse, StreamingHttpResponse
        from django.test import AsyncClient, Client
        from django.urls import path
        from forklog.context.base import CURRENT

        seen = []
        def known():
            scope = CURRENT.get()
            return scope and scope.whole().context.trace[0]
        def of(trace):
            return {"traceparent": "00-%s-%s-01" % (trace * 32, "1" * 16)}
        def view(request):
            seen.append(known())
            return HttpResponse("ok")
        def parts():
            for part in range(2):
                seen.append(known())
                yield b"x"
        async def async_parts():
            for part in range(2):
                seen.append(known())
                yield b"x"
        def stream(request):
            return StreamingHttpResponse(parts())
        async def async_stream(request):
            return StreamingHttpResponse(async_parts())
        def outer(request):
            for url in ("/view", "/stream", "/none"):
                response = Client().get(url, headers=of("b"))
                seen.append(known())
                if response.streaming:
                    list(response)
                    seen.append(known())
            return HttpResponse("ok")
        async def async_outer(request):
            for url in ("/view", "/async_stream"):
                response = await AsyncClient().get(url, headers=of("b"))
                seen.append(known())
                if response.streaming:
                    [part async for part in response]
                    seen.append(known())
            return HttpResponse("ok")
        urlpatterns = [path(each.__name__, each) for each in
                       (view, stream, async_stream, outer, async_outer)]
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
                           MIDDLEWARE=["forklog.middleware.DjangoMiddleware"])
        django.setup()
        logging.disable()
        Client().get("/outer", headers=of("a"))
        assert known() is None
        print("".join(seen))
        seen.clear()
        async def main():
            await AsyncClient().get("/async_outer", headers=of("a"))
            assert known() is None
        asyncio.run(main())
        print("".join(seen))
    """)
    assert done.stdout.split() == ["baabbaa", "baabba"]
