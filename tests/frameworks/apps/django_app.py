"""Django, as the tests of frameworks run it under gunicorn and under uvicorn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
import shared
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING=shared.LOGGING,
    MIDDLEWARE=["forklog.middleware.DjangoMiddleware", "django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",  # noqa: S106 - it signs nothing
)
django.setup()
shared.set_up()


def order(_request: HttpRequest, number: str) -> HttpResponse:
    """Log in a view."""
    shared.work(number)
    return HttpResponse(number)


async def order_async(_request: HttpRequest, number: str) -> HttpResponse:
    """Log in an async view, and in a thread that it waits for."""
    shared.logger.info("first %s", number)
    await asyncio.sleep(shared.PAUSE)
    shared.logger.warning("second %s", number)
    await asyncio.to_thread(shared.logger.info, "thread %s", number)
    return HttpResponse(number)


def stream(_request: HttpRequest, number: str) -> StreamingHttpResponse:
    """Log while the body is sent."""

    def body() -> Iterator[str]:
        yield "a"
        shared.logger.info("stream %s", number)
        yield "b"

    return StreamingHttpResponse(body())


async def stream_async(_request: HttpRequest, number: str) -> StreamingHttpResponse:
    """Log while the body is sent."""

    async def body() -> AsyncIterator[str]:
        yield "a"
        shared.logger.info("stream %s", number)
        yield "b"

    return StreamingHttpResponse(body())


def broken(_request: HttpRequest, number: str) -> StreamingHttpResponse:
    """Fail in the body."""
    return StreamingHttpResponse(shared.breaking(number))


async def broken_async(_request: HttpRequest, number: str) -> StreamingHttpResponse:
    """Fail in the body."""
    return StreamingHttpResponse(shared.breaking_async(number))


def fail(_request: HttpRequest, number: str) -> HttpResponse:
    """Fail."""
    raise RuntimeError(number)


async def fail_async(_request: HttpRequest, number: str) -> HttpResponse:
    """Fail."""
    raise RuntimeError(number)


_VIEWS: list[Any] = [order, stream, broken, fail]
if "uvicorn" in sys.modules:
    _VIEWS = [order_async, stream_async, broken_async, fail_async]
urlpatterns = [path(f"{view.__name__.removesuffix('_async')}/<number>", view) for view in _VIEWS]
wsgi = get_wsgi_application()
_asgi = get_asgi_application()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer, then log in the same task."""
    if scope["type"] == "http":
        await _asgi(scope, receive, send)
        shared.log_after(scope["path"].rpartition("/")[2])
