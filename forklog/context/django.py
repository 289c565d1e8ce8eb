"""Django: the scope of a request, from the middleware to the `close` of the answer."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from forklog.context.base import MIDDLEWARES
from forklog.context.requests import Request
from forklog.context.wsgi import (
    end_at_close,
    is_known,
    keeps_status,
    noted,
    request_of,
    url_of,
)

_END = object()


class DjangoMiddleware:
    """Give every record of a Django request its trace and its request, sync and async.

    Put ``"forklog.middleware.DjangoMiddleware"`` first in ``MIDDLEWARE``. The scope ends when the
    server closes the answer, so records of a streaming answer belong to the request. A request
    without a trace header has a trace of its own. Set `forwarded` in a subclass if a proxy of yours
    sets ``X-Forwarded-For``: its first address is ``remoteIp`` then.
    """

    sync_capable = True
    async_capable = True
    forwarded = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Take Django's next layer."""
        self.get_response = get_response
        MIDDLEWARES.add("django")
        # Imported by Django, since this class stands in its MIDDLEWARE.
        sync = sys.modules["asgiref.sync"]
        self._is_async = sync.iscoroutinefunction(get_response)
        if self._is_async:
            sync.markcoroutinefunction(self)

    def __call__(self, django_request: Any) -> Any:
        """Answer a request; give a coroutine where Django is async."""
        if self._is_async:
            return self._answer(django_request)
        request = self._begun(django_request)
        if request is None:
            return self.get_response(django_request)
        try:
            request.resume()
            response = self.get_response(django_request)
        except BaseException as error:
            request.fail(error)
            request.finish()
            raise
        return _ending(response, request, django_request)

    async def _answer(self, django_request: Any) -> Any:
        request = self._begun(django_request)
        if request is None:
            return await self.get_response(django_request)
        try:
            request.resume()
            response = await self.get_response(django_request)
        except BaseException as error:
            request.fail(error)
            request.finish()
            raise
        return _ending(response, request, django_request)

    def _begun(self, django_request: Any) -> Request | None:
        """Begin the request; None if another middleware of ours has, outside of Django."""
        environ, scope = django_request.META, getattr(django_request, "scope", {})
        if is_known(environ) or is_known(scope):
            return None
        protocol = environ.get("SERVER_PROTOCOL") or f"HTTP/{scope.get('http_version', '1.1')}"
        url = url_of(environ, django_request.scheme, django_request.path, "utf-8")
        return request_of(environ, url, protocol, forwarded=self.forwarded)


def _ending(response: Any, request: Request, django_request: Any) -> Any:
    request.pause()
    request.note_status(response.status_code)
    if not response.streaming:
        request.note_size(len(response.content))
    elif getattr(response, "file_to_stream", None) is None:  # else the server may send the file
        # These send the status before they ask for the first part.
        is_asgi = hasattr(django_request, "scope")
        request.note_begun(is_begun=is_asgi or keeps_status(django_request.META))
        note = _noted_async if response.is_async else _noted if is_asgi else noted
        response.streaming_content = note(response.streaming_content, request)
    return end_at_close(response, request)


def _noted(parts: Iterable[bytes], request: Request) -> Iterator[bytes]:
    """Yield the parts of a body; end the request where they fail, as ASGI closes nothing then."""
    try:
        yield from noted(parts, request)
    except Exception:
        request.finish(is_kept=True)
        raise


async def _noted_async(parts: AsyncIterable[bytes], request: Request) -> AsyncIterator[bytes]:
    """Yield the parts of an asynchronous body; end the request where they fail."""
    try:
        iterator = aiter(parts)
        while True:
            part = await _next_async(iterator, request)
            if part is _END:
                break
            yield part
    except Exception as error:
        request.fail(error)
        request.finish(is_kept=True)
        raise
    request.mark_sent()


async def _next_async(parts: AsyncIterator[bytes], request: Request) -> Any:
    request.resume()
    try:
        return await anext(parts)
    except StopAsyncIteration:
        return _END
    finally:
        request.pause()
